"""A mail server that keeps what it is sent.

Arguments: port, encryption (starttls, tls or none), certificate and key (or - -), user and password (or - -),
and how many mails to turn away for the moment before the first is taken.
Every mail is printed as one line of JSON, after a line "ready PORT".
"""

import asyncio
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


# It warns of settings that a test wants just so.
warnings.simplefilter("ignore")
logging.disable()


class Keep:
    def __init__(self, refusals):
        self.refusals = refusals

    async def handle_DATA(self, server, session, envelope):
        if self.refusals > 0:
            self.refusals -= 1
            return "451 try again later"
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("utf-8"),
            "encrypted": server.transport.get_extra_info("sslcontext") is not None,
            "login": session.auth_data.decode() if session.authenticated else None,
        }
        print(json.dumps(mail), flush=True)
        return "250 kept"


def main():
    port, encryption, certificate, key, user, password, refusals = sys.argv[1:8]
    context = None
    if certificate != "-":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

    def check(server, session, envelope, mechanism, data):
        given = (data.login.decode(), data.password.decode())
        if given == (user, password):
            return AuthResult(success=True, auth_data=data.login)
        # A server that says what it was given: no message of ours may have it.
        return AuthResult(success=False, handled=False, message="535 5.7.8 not known: %s %s" % given)

    keep = Keep(int(refusals))

    def protocol():
        return SMTP(
            keep,
            hostname="sink.example",
            decode_data=False,
            tls_context=context if encryption == "starttls" else None,
            require_starttls=encryption == "starttls",
            authenticator=check if user != "-" else None,
            auth_required=user != "-",
            auth_exclude_mechanism=["LOGIN", "PLAIN"] if user == "-" else None,
            auth_require_tls=encryption == "starttls",
            enable_SMTPUTF8=True,
        )

    async def serve():
        loop = asyncio.get_running_loop()
        wrapped = context if encryption == "tls" else None
        server = await loop.create_server(protocol, "127.0.0.1", int(port), ssl=wrapped)
        print("ready", server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()

    asyncio.run(serve())


main()
