"""How to run a job on a site. Knows nothing of users, databases or HTTP servers."""
