"""wasmill's Python runtime: what stands between the host and a Lambda handler written for AWS.

`wasmill_entry` (the generic runtime) and `wasmill_snapshot` (one app's packages imported at build time) make a component
of it. Everything at module level runs at build time, in CPython inside the component, and is frozen in a snapshot of its
memory; from then on only the host's `/app`, `/tmp` and `/pycache` are files. What may differ between two sandboxes (the
environment, randomness, time) is therefore read in `first.py` and `invoke.py`, never at module level.

    build.py       what is done at build time: everything below is put in its place
    preload.py     what a snapshot of one app adds: its packages are imported   compiled.py   its own modules compiled
    stdlib.py      the whole standard library, as bytecode in memory            timezones.py  the same for time zones
    absent.py      what cannot work here says so in one line                    threadless.py pools and asyncio on one thread
    invoke.py      one invocation, as Lambda's runtime client does it           first.py      what happens once, at the first
    context.py, failure.py, logs.py                                             Lambda's context, error JSON and log lines
    httpsocket.py  a socket that speaks HTTP; securesocket.py over HTTPS        sockets.py    puts it in sockets' place
    outgoing.py    one request through the host                                 tls.py        the module `ssl`
"""
