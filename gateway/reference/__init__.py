"""Reference pages made from the code: `python -m gateway.reference` writes all of them."""
