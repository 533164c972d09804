"""Whom we trust when a UNICORE site shows its certificate."""

import ssl

from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import Site

CA, VERIFICATION = "caCertificate", "tlsVerification"


def tls_context(site: Site) -> ssl.SSLContext:
    """The system's authorities, or only the PEM in `options.caCertificate`. `options.tlsVerification` set to `off`
    trusts anybody.

    Raises InvalidJob with reason INVALID_CONFIG for another value, or a PEM that is none."""
    pem, verification = site.options.get(CA), site.options.get(VERIFICATION, "on")
    if verification not in ("on", "off"):
        message = f"Site {site.name}: {VERIFICATION} is {verification!r}; it may be on or off."
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG)
    try:
        context = ssl.create_default_context(cadata=str(pem)) if pem else ssl.create_default_context()
    except (ssl.SSLError, ValueError) as error:
        message = f"Site {site.name}: {CA} is no certificate in PEM form: {error}"
        raise InvalidJob(message, reason=Reason.INVALID_CONFIG) from None
    if verification == "off":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def is_verified(site: Site) -> bool:
    """Whether the site's certificate is checked; where it is not, every listing says so."""
    return site.options.get(VERIFICATION, "on") != "off"
