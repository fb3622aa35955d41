//! TLS by libpq's rules: what each `sslmode` checks, which files count, and the one place where it is
//! negotiated with a server.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::connect::certificate::Certificate;
use crate::connect::choices::SslMode;
use crate::connect::host::{Endpoint, Host};
use crate::connect::stream::Stream;
use crate::connect::tls_settings::{RootCertificates, TlsSettings};
use crate::error::{Error, Kind, Result, system_reason};

/// PostgreSQL's name for application-layer protocol negotiation.
const PROTOCOL: &[u8] = b"postgresql";

/// Everything needed to speak TLS to one host, also for a later cancel request.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    server_name: ServerName<'static>,
    direct: bool,
}

/// What came of asking a server for TLS.
pub(super) enum Negotiated {
    Encrypted(Stream),
    /// The server does not speak TLS; the connection goes on in the clear if the mode allows.
    Refused(Stream),
}

impl Tls {
    /// Reads the files and prepares the checks for one host.
    ///
    /// # Errors
    /// Of kind `Connect`: a missing or unreadable file, a key that others can read, no host name to
    /// verify.
    pub(super) fn prepare(settings: &TlsSettings, host: &Host) -> Result<Self> {
        let failed = |message: String| Error::new(Kind::Connect, message);
        let (name, address) = match &host.endpoint {
            Endpoint::Tcp { name, address } => (name.as_deref(), *address),
            Endpoint::Socket(_) => (None, None),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = read_roots(settings)?;
        let check = match (&roots, settings.mode) {
            (Some(_), SslMode::VerifyFull) => Check::AuthorityAndName,
            (Some(_), _) => Check::Authority,
            (None, _) => Check::Nothing,
        };
        if check == Check::AuthorityAndName && name.is_none() {
            return Err(failed(
                "sslmode=verify-full needs a host name to compare the certificate with".to_owned(),
            )
            .with_hint("give host besides hostaddr"));
        }
        let versions: &[&rustls::SupportedProtocolVersion] =
            match (settings.only_tls12, settings.only_tls13) {
                (true, _) => &[&rustls::version::TLS12],
                (_, true) => &[&rustls::version::TLS13],
                _ => &[&rustls::version::TLS13, &rustls::version::TLS12],
            };
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| failed(format!("set up TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier {
                check,
                host: name.unwrap_or_default().to_owned(),
                roots: roots.unwrap_or_default(),
                provider,
            }));
        let mut config = match read_identity(settings)? {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| failed(format!("client certificate and key: {error}")))?,
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = settings.server_name_indication;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // A name that is no DNS name cannot be announced; the address stands in for it, which
        // rustls does not announce. The verifier compares the name as the user wrote it.
        let server_name = name
            .and_then(|name| ServerName::try_from(name.to_owned()).ok())
            .or_else(|| address.map(ServerName::from))
            .unwrap_or(ServerName::from(std::net::IpAddr::V4(
                std::net::Ipv4Addr::UNSPECIFIED,
            )));
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server_name,
            direct: settings.direct,
        })
    }

    /// Asks the server for TLS on a fresh connection and shakes hands.
    ///
    /// # Errors
    /// Of kind `Connect`: the connection broke, or the handshake failed; what verification found is
    /// in the message.
    pub(super) async fn negotiate(&self, stream: Stream) -> Result<Negotiated> {
        let Stream::Tcp(mut stream) = stream else {
            return Ok(Negotiated::Refused(stream));
        };
        let broken = |error: io::Error| {
            Error::new(Kind::Connect, format!("ask for TLS: {error}")).with_source(error)
        };
        if !self.direct {
            let mut request = bytes::BytesMut::new();
            postgres_protocol::message::frontend::ssl_request(&mut request);
            stream.write_all(&request).await.map_err(broken)?;
            // Exactly one byte is read: anything that somebody put behind it in the clear then breaks
            // the handshake instead of being taken for the server's answer.
            let mut answer = [0_u8];
            stream.read_exact(&mut answer).await.map_err(broken)?;
            match answer[0] {
                b'S' => {}
                b'N' => return Ok(Negotiated::Refused(Stream::Tcp(stream))),
                b'E' => {
                    // Not authenticated in any way, so its text is not shown.
                    return Err(Error::new(
                        Kind::Connect,
                        "the server answered the request for TLS with an error",
                    ));
                }
                _ => {
                    return Err(Error::new(
                        Kind::Connect,
                        "unexpected answer to the request for TLS",
                    )
                    .with_hint("is this a PostgreSQL server?"));
                }
            }
        }
        let stream = self
            .connector
            .connect(self.server_name.clone(), stream)
            .await
            .map_err(handshake_error)?;
        if self.direct && stream.get_ref().1.alpn_protocol() != Some(PROTOCOL) {
            return Err(Error::new(
                Kind::Connect,
                "the server did not agree on the postgresql protocol in the TLS handshake",
            )
            .with_hint("sslnegotiation=direct needs PostgreSQL 17 or newer"));
        }
        Ok(Negotiated::Encrypted(Stream::Tls(Box::new(stream))))
    }
}

fn handshake_error(error: io::Error) -> Error {
    let certificate = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .and_then(|error| match error {
            rustls::Error::InvalidCertificate(reason) => Some(reason.clone()),
            _ => None,
        });
    let (message, hint) = match certificate {
        Some(CertificateError::UnknownIssuer) => (
            "the server's certificate is not signed by a known authority".to_owned(),
            Some(
                "sslrootcert names a file with the authority's certificate, or with the server's own where that \
                 is its own authority; ~/.postgresql/root.crt is the default",
            ),
        ),
        Some(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            "the server's certificate is for another host name".to_owned(),
            Some("connect by the name in the certificate, or give the address as hostaddr"),
        ),
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            ("the server's certificate has expired".to_owned(), None)
        }
        Some(reason) => (format!("the server's certificate: {reason}"), None),
        None => (error.to_string(), None),
    };
    let failed = Error::new(Kind::Connect, format!("TLS handshake: {message}")).with_source(error);
    match hint {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}

/// The authorities to check against; `None` when nothing is to be checked.
///
/// As in libpq, a root file that exists is used in every mode that speaks TLS, and a missing one is an
/// error only where verification was asked for.
fn read_roots(settings: &TlsSettings) -> Result<Option<Roots>> {
    let failed = |message: String| Error::new(Kind::Connect, message);
    let must = settings.mode >= SslMode::VerifyCa;
    match &settings.root {
        RootCertificates::System => {
            let found = rustls_native_certs::load_native_certs();
            let roots = Roots::new(found.certs);
            if roots.store.is_empty() {
                return Err(failed(
                    "sslrootcert=system: no authorities found on this machine".to_owned(),
                )
                .with_hint("install the ca-certificates package, or name a file"));
            }
            Ok(Some(roots))
        }
        RootCertificates::File(path) => {
            let pem = match fs::read(path) {
                Ok(pem) => pem,
                Err(error) if is_absent(&error) && !must => return Ok(None),
                Err(error) => {
                    return Err(failed(format!(
                        "root certificate file {}: {}",
                        path.display(),
                        system_reason(&error)
                    ))
                    .with_hint(
                        "give sslrootcert, use sslrootcert=system, or choose an sslmode that does not verify",
                    )
                    .with_source(error));
                }
            };
            let certificates = read_certificates(&pem, path)?;
            let roots = Roots::new(certificates);
            if roots.store.is_empty() {
                return Err(failed(format!(
                    "root certificate file {} holds no usable certificate",
                    path.display()
                )));
            }
            Ok(Some(roots))
        }
        RootCertificates::Nowhere if must => Err(failed(
            "verification was asked for, but there is no root certificate file".to_owned(),
        )
        .with_hint("give sslrootcert, or use sslrootcert=system")),
        RootCertificates::Nowhere => Ok(None),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read_certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| {
            Error::new(
                Kind::Connect,
                format!("certificate file {}: {error}", path.display()),
            )
        })?;
    if certificates.is_empty() {
        return Err(Error::new(
            Kind::Connect,
            format!("certificate file {} holds no certificate", path.display()),
        ));
    }
    Ok(certificates)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's certificate and key. A missing certificate file means none, as in libpq; a missing
/// key to an existing certificate is an error.
fn read_identity(settings: &TlsSettings) -> Result<Option<Identity>> {
    let Some(certificate) = &settings.certificate else {
        return Ok(None);
    };
    let failed = |message: String| Error::new(Kind::Connect, message);
    let pem = match fs::read(certificate) {
        Ok(pem) => pem,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => {
            return Err(failed(format!(
                "client certificate {}: {}",
                certificate.display(),
                system_reason(&error)
            ))
            .with_source(error));
        }
    };
    let chain = read_certificates(&pem, certificate)?;
    let key_path = settings
        .key
        .as_deref()
        .ok_or_else(|| failed("a client certificate without a private key".to_owned()))?;
    let broken = |error: io::Error| {
        let why = system_reason(&error);
        failed(format!("private key {}: {why}", key_path.display())).with_source(error)
    };
    let metadata = fs::metadata(key_path).map_err(broken)?;
    let mode = metadata.permissions().mode();
    // Root may let a group read it, as distributions do for service keys.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if !metadata.is_file() || mode & forbidden != 0 {
        return Err(failed(format!(
            "private key {} has group or world access",
            key_path.display()
        ))
        .with_hint("permissions must be u=rw (0600) or less; u=rw,g=r (0640) when owned by root"));
    }
    let pem = fs::read(key_path).map_err(broken)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let wrong = failed(format!("private key {}: {error}", key_path.display()));
        if pem.windows(9).any(|window| window == b"ENCRYPTED") {
            wrong.with_hint("keys with a passphrase are not supported")
        } else {
            wrong
        }
    })?;
    Ok(Some((chain, key)))
}

/// Trusted authorities, also as they were given.
#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            store: RootCertStore::empty(),
            certificates: Vec::new(),
        }
    }
}

impl Roots {
    fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates.iter().cloned());
        Self {
            store,
            certificates,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Nothing,
    Authority,
    AuthorityAndName,
}

/// Checks a server's certificate as far as the mode asks.
#[derive(Debug)]
struct Verifier {
    check: Check,
    /// As the user wrote it.
    host: String,
    roots: Roots,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// A certificate that is itself among the roots needs no other to vouch for it; web rules refuse it
    /// when it is marked as an authority, libpq does not.
    fn is_trusted_itself(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        self.roots.certificates.contains(certificate)
            && Certificate::parse(certificate)
                .is_some_and(|certificate| certificate.is_valid_at(now.as_secs()))
    }

    /// What libpq would say of a certificate that web rules refuse: whether it is its own authority or has another
    /// one's name, it is not signed by any that is trusted.
    fn refusal(&self, certificate: &CertificateDer<'_>, error: rustls::Error) -> rustls::Error {
        let rustls::Error::InvalidCertificate(reason) = &error else {
            return error;
        };
        let is_its_own_issuer =
            || Certificate::parse(certificate).is_some_and(|it| it.is_its_own_issuer());
        rustls::Error::InvalidCertificate(match reason {
            CertificateError::Other(_) if self.roots.certificates.contains(certificate) => {
                CertificateError::Expired
            }
            CertificateError::Other(_) if is_its_own_issuer() => CertificateError::UnknownIssuer,
            CertificateError::BadSignature => CertificateError::UnknownIssuer,
            _ => return error,
        })
    }

    fn check_name(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let mismatch = || rustls::Error::InvalidCertificate(CertificateError::NotValidForName);
        let parsed = Certificate::parse(certificate)
            .ok_or_else(|| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if !parsed.has_alternative_names() {
            return if parsed.common_name_matches(&self.host) {
                Ok(())
            } else {
                Err(mismatch())
            };
        }
        let name = ServerName::try_from(self.host.as_str()).map_err(|_| mismatch())?;
        verify_server_name(&ParsedCertificate::try_from(certificate)?, &name)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        if !self.is_trusted_itself(end_entity, now) {
            ParsedCertificate::try_from(end_entity)
                .and_then(|parsed| {
                    verify_server_cert_signed_by_trust_anchor(
                        &parsed,
                        &self.roots.store,
                        intermediates,
                        now,
                        self.provider.signature_verification_algorithms.all,
                    )
                })
                .map_err(|error| self.refusal(end_entity, error))?;
        }
        if self.check == Check::AuthorityAndName {
            self.check_name(end_entity)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match verify_tls13_signature(message, certificate, signature, algorithms) {
            // A version 1 certificate, as simple recipes make: its key still proves possession.
            Err(rustls::Error::InvalidCertificate(_)) => {
                let parsed = Certificate::parse(certificate).ok_or_else(|| {
                    rustls::Error::InvalidCertificate(CertificateError::BadEncoding)
                })?;
                verify_tls13_signature_with_raw_key(
                    message,
                    &SubjectPublicKeyInfoDer::from(parsed.public_key_info),
                    signature,
                    algorithms,
                )
            }
            other => other,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
