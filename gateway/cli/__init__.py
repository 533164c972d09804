"""The command line `mantik`: results on stdout, talk on stderr."""
