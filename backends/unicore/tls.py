"""Whom we trust when a UNICORE site shows its certificate."""

import ssl

from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import Site

CA, VERIFY = "tlsCa", "verifyTls"


def tls_context(site: Site) -> ssl.SSLContext:
    """The system's authorities, or only the PEM in `options.tlsCa`. `options.verifyTls` set to False trusts anybody.

    Raises InvalidJob with reason INVALID_CONFIG for another value, or a PEM that is none."""
    pem, verify = site.options.get(CA), site.options.get(VERIFY, True)
    if not isinstance(verify, bool):
        message = f"Site {site.name}: {VERIFY} is {verify!r}; it may be true or false."
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG)
    try:
        context = ssl.create_default_context(cadata=str(pem)) if pem else ssl.create_default_context()
    except (ssl.SSLError, ValueError) as error:
        message = f"Site {site.name}: {CA} is no certificate in PEM form: {error}"
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG) from None
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def is_verified(site: Site) -> bool:
    """Whether the site's certificate is checked; where it is not, every listing says so."""
    return site.options.get(VERIFY, True) is not False
