"""`python -m server.health`: exit code 0 if the server of these settings says that it is ready. For container health checks."""

import http.client
import ssl
import sys

from config.settings import SettingsInvalid, load_settings


def is_ready() -> bool:
    """Ask /readyz on this machine, as the settings say the server listens."""
    settings = load_settings()
    host = "127.0.0.1" if settings.server.host in {"0.0.0.0", "::", ""} else settings.server.host  # noqa: S104
    if settings.tls.certificate:
        context = ssl.create_default_context()
        # the certificate is for the name that clients use; here only the answer counts
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, settings.server.port, timeout=2, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, settings.server.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        sys.exit(0 if is_ready() else 1)
    except SettingsInvalid as error:
        sys.exit(str(error))
