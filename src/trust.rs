//! Whom a TLS connection trusts: this machine's authorities, and those of a file besides.
//!
//! Why it exists: what speaks HTTP or SMTP over TLS trusts the same authorities and takes the same
//! cryptography. Connections to PostgreSQL follow libpq's rules instead (`connect`).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::{Error, Kind, Result};

/// The authorities that can be used, this machine's first.
///
/// # Errors
/// [`Kind::Failed`] for a file that cannot be read, or holds no usable certificate; the message begins
/// with its path.
pub(crate) fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    let is_usable = |it: &CertificateDer<'static>| RootCertStore::empty().add(it.clone()).is_ok();
    // What of the machine's own cannot be used is not missed until a server needs it.
    let mut found = rustls_native_certs::load_native_certs().certs;
    found.retain(is_usable);
    if let Some(path) = file {
        let failed = |why: String| Error::new(Kind::Failed, format!("{}: {why}", path.display()));
        let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let mut given = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(error.to_string()))?;
        given.retain(is_usable);
        if given.is_empty() {
            return Err(failed("it holds no usable certificate".to_owned()));
        }
        found.append(&mut given);
    }
    Ok(found)
}

/// How to speak TLS as a client that trusts these.
///
/// # Errors
/// [`Kind::Failed`] when TLS cannot be set up at all.
pub(crate) fn client(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Failed, format!("set up TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
