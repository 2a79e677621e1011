"""Front end 1: the command line. `main` is the entry; each command is a module that is imported when it is used."""
