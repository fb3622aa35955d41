//! What TLS is to do, as the parameters say it.

use std::path::{Path, PathBuf};

use crate::connect::choices::SslMode;
use crate::connect::values::Values;
use crate::error::{Error, Kind, Result};

/// What TLS is to do and with which files.
#[derive(Clone, Debug)]
pub(super) struct TlsSettings {
    pub(super) mode: SslMode,
    /// Begin with TLS at once instead of asking the server first (17 and newer).
    pub(super) direct: bool,
    /// `None` for the operating system's roots, which `system` asks for.
    pub(super) root: RootCertificates,
    /// Client certificate; whether the user named it decides what a missing file means.
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) server_name_indication: bool,
    pub(super) only_tls13: bool,
    pub(super) only_tls12: bool,
}

/// Where the authorities come from that a server's certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RootCertificates {
    System,
    /// Named by the user: must exist when verification is asked for.
    File(PathBuf),
    /// No home directory and nothing named.
    Nowhere,
}

impl TlsSettings {
    /// What the parameters say, with the usual files below `home`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for values that are none, or do not go together.
    pub(super) fn of(values: &Values, home: Option<&Path>) -> Result<Self> {
        let wrong = |message: String| Error::new(Kind::Usage, message);
        let in_home = |name: &str| home.map(|home| home.join(".postgresql").join(name));
        let root = match values.get("sslrootcert") {
            Some("system") => RootCertificates::System,
            Some(file) => RootCertificates::File(file.into()),
            None => in_home("root.crt").map_or(RootCertificates::Nowhere, RootCertificates::File),
        };
        let asked: Option<SslMode> = values.choice("sslmode")?;
        let mode = match (asked, &root) {
            (Some(mode), RootCertificates::System) if mode < SslMode::VerifyFull => {
                return Err(wrong(
                    "a weak sslmode may not be used with sslrootcert=system".to_owned(),
                )
                .with_hint("use sslmode=verify-full"));
            }
            (Some(mode), _) => mode,
            (None, RootCertificates::System) => SslMode::VerifyFull,
            (None, _) if values.get("requiressl").is_some_and(|v| v.starts_with('1')) => {
                SslMode::Require
            }
            (None, _) => SslMode::Prefer,
        };
        let direct = match values.get("sslnegotiation") {
            None | Some("postgres") => false,
            Some("direct") => true,
            Some(other) => {
                return Err(wrong(format!("invalid sslnegotiation value: \"{other}\""))
                    .with_hint("one of postgres, direct"));
            }
        };
        if direct && mode < SslMode::Require {
            return Err(wrong(
                "a weak sslmode may not be used with sslnegotiation=direct".to_owned(),
            )
            .with_hint("use sslmode=require, verify-ca or verify-full"));
        }
        let version = |name: &str| -> Result<Option<u8>> {
            values
                .get(name)
                .map(|text| match text.to_ascii_lowercase().as_str() {
                    "tlsv1" => Ok(0),
                    "tlsv1.1" => Ok(1),
                    "tlsv1.2" => Ok(2),
                    "tlsv1.3" => Ok(3),
                    _ => Err(wrong(format!("invalid {name} value: \"{text}\""))
                        .with_hint("one of TLSv1.2, TLSv1.3")),
                })
                .transpose()
        };
        let lowest = version("ssl_min_protocol_version")?.unwrap_or(2).max(2);
        let highest = version("ssl_max_protocol_version")?.unwrap_or(3);
        if highest < lowest {
            return Err(wrong(
                "ssl_max_protocol_version is lower than what is supported or asked for".to_owned(),
            )
            .with_hint("TLSv1.2 and TLSv1.3 are supported"));
        }
        let with_certificate = values.get("sslcertmode") != Some("disable");
        let certificate = values
            .owned("sslcert")
            .map(PathBuf::from)
            .or_else(|| in_home("postgresql.crt"))
            .filter(|_| with_certificate);
        let key = values
            .owned("sslkey")
            .map(PathBuf::from)
            .or_else(|| in_home("postgresql.key"));
        Ok(Self {
            mode,
            direct,
            root,
            certificate,
            key,
            server_name_indication: values.get("sslsni") != Some("0"),
            only_tls13: lowest == 3,
            only_tls12: highest == 2,
        })
    }
}
