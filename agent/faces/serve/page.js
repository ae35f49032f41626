// The address names the run that is shown, so that a reload or a bookmark brings it back.
(() => {
  const remember = () => {
    const main = document.querySelector('#part-head');
    if (!main) return;
    const head = main.querySelector('[data-run]');
    const run = head ? head.dataset.run : '';
    const address = new URL(location.href);
    if (run && address.searchParams.get('run') !== run) {
      address.searchParams.set('run', run);
      history.replaceState(history.state, '', address);
    }
    // What happens is read out as it happens.
    const status = document.querySelector('#status');
    if (status && !status.hasAttribute('aria-live')) status.setAttribute('aria-live', 'polite');
  };
  new MutationObserver(remember).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-run'] });
})();
