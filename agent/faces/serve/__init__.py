"""`hopline serve`: a page in the browser on top of Agent, Run, events and views; on loopback by default.

`server` brings it up, `guard` decides who may ask for what, `host` holds what each visitor may
see and do, `line` runs one request at a time in fair turns, `showing` makes a run's HTML from
`hopline.agent.views`, `page` lays it out with Gradio.
"""
