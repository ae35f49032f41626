// The address names the run that is shown, so that a reload or a bookmark brings it back.
(() => {
  const remember = () => {
    const head = document.querySelector('[data-run]');
    const run = head ? head.dataset.run : '';
    const address = new URL(location.href);
    if (run && address.searchParams.get('run') !== run) {
      address.searchParams.set('run', run);
      history.replaceState(history.state, '', address);
    }
  };
  new MutationObserver(remember).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-run'] });
})();
