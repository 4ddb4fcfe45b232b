"""fieldrx in the browser, without a shell: a local page that runs the commands and shows what they do.

The page holds no logic of its own.  It asks for what a command asks for, shows the command line, and runs it
as a process that belongs to nobody: page and server may end, the work goes on and is found again.

===========  ======================================================================================
`words`      labels for options and keys, and texts that name them
`forms`      forms made from the commands' own parameters
`jobs`       commands at work, each a process and a folder
`verdicts`   what a result is worth, as its command said
`shown`      folders, drafts, acquisitions and tables as the page shows them
`routes`     what the page may ask
`server`     who may ask: this machine, with the token
*.html ...   the page: plain HTML, CSS and JavaScript, nothing from elsewhere
===========  ======================================================================================
"""

from fieldrx.app.jobs import Job, Jobs
from fieldrx.app.server import serve

__all__ = ["Job", "Jobs", "serve"]
