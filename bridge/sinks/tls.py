"""TLS to the broker: what may be configured, and what went wrong in words that name the remedy.

The broker's certificate is always verified, and against its host name, unless `is_insecure` says otherwise. TLS
below 1.2 is never spoken. Files are read anew for every connection, so a renewed certificate needs no restart.
"""

from __future__ import annotations

import ssl  # paho imports it in any case
from typing import NamedTuple

from bridge.errors import SinkError


class TlsOptions(NamedTuple):
    """Files in PEM form, "" for none. Without `ca_file` the authorities of the system are trusted."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    is_insecure: bool = False


def make_context(options: TlsOptions) -> ssl.SSLContext:
    """Return a client context for `options`.

    Raises:
        SinkError: a file is missing or is not what it should be; trying again cannot help.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if options.ca_file:
            context.load_verify_locations(options.ca_file)
        elif not options.is_insecure:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        message = f"The CA file {options.ca_file} cannot be used ({_reason(error)}): check broker.tls.ca."
        raise SinkError(message, retry=False) from error
    if options.cert_file:
        _load_identity(context, options)
    return context


def _load_identity(context: ssl.SSLContext, options: TlsOptions) -> None:
    try:
        context.load_cert_chain(options.cert_file, options.key_file or None, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        message = (
            f"The client certificate {options.cert_file} and its key cannot be used ({_reason(error)}): "
            "check broker.tls.cert and broker.tls.key."
        )
        raise SinkError(message, retry=False) from error


def _no_password() -> str:
    # Without this, OpenSSL asks for the pass phrase of an encrypted key on the terminal, and waits for ever.
    raise ValueError("the key is encrypted, and a pass phrase is not supported")


def describe(error: ssl.SSLError, host: str) -> str:
    """Return a sentence that says why the handshake with `host` failed and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {host} is not trusted ({error.verify_message}): "
            "check broker.tls.ca and the name in broker.host."
        )
    return f"TLS with {host} failed ({_reason(error)}): is this the broker's TLS port, usually 8883?"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
