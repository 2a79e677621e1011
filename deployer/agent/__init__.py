"""What runs on a GPU host: standard library only, Python 3.9 and newer. The controller imports only `wire`,
`plain`, by which both clean what others say, and `packed`, in which a roster travels."""
