//! Hosts: where a server listens, and the list of those that are tried.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

const DEFAULT_PORT: u16 = 5432;
/// Tried in this order when no host is given: Debian's and Red Hat's, then PostgreSQL's own.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A directory with a Unix socket in it, or an abstract name that begins with `@`.
    Socket(PathBuf),
    /// A host name or address; `address` spares the look-up.
    Tcp {
        name: Option<String>,
        address: Option<IpAddr>,
    },
}

/// The server that a session has reached, of all that its configuration names.
#[derive(Clone, Debug)]
pub(crate) struct Reached(pub(super) Host);

/// One of the hosts to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) endpoint: Endpoint,
    pub(super) port: u16,
}

impl Host {
    /// `host:port`, as it is shown to the user.
    pub(super) fn describe(&self) -> String {
        match &self.endpoint {
            Endpoint::Socket(directory) => format!("{}:{}", directory.display(), self.port),
            Endpoint::Tcp {
                name: Some(name), ..
            } if name.contains(':') => format!("[{name}]:{}", self.port),
            Endpoint::Tcp {
                name: Some(name), ..
            } => format!("{name}:{}", self.port),
            Endpoint::Tcp {
                address: Some(IpAddr::V6(address)),
                ..
            } => format!("[{address}]:{}", self.port),
            Endpoint::Tcp {
                address: Some(address),
                ..
            } => format!("{address}:{}", self.port),
            Endpoint::Tcp { .. } => format!("localhost:{}", self.port),
        }
    }

    /// The name that a password file has for it.
    pub(super) fn passfile_name(&self) -> String {
        match &self.endpoint {
            Endpoint::Socket(directory)
                if SOCKET_DIRECTORIES
                    .iter()
                    .chain(["/run/postgresql"].iter())
                    .any(|default| directory == Path::new(default)) =>
            {
                "localhost".to_owned()
            }
            Endpoint::Socket(directory) => directory.display().to_string(),
            Endpoint::Tcp {
                name: Some(name), ..
            } => name.clone(),
            Endpoint::Tcp {
                address: Some(address),
                ..
            } => address.to_string(),
            Endpoint::Tcp { .. } => "localhost".to_owned(),
        }
    }

    /// All that lists of names, addresses and ports mean; where nobody is named, the usual directories of sockets.
    ///
    /// # Errors
    /// [`Kind::Usage`] for lists of unlike length, and for what is no address or no port.
    pub(super) fn all(names: &[&str], addresses: &[&str], ports: &[&str]) -> Result<Vec<Self>> {
        let wrong = |message: String| Error::new(Kind::Usage, message);
        if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
            return Err(wrong(format!(
                "could not match {} host names to {} hostaddr values",
                names.len(),
                addresses.len()
            )));
        }
        let count = names.len().max(addresses.len());
        if ports.len() > 1 && ports.len() != count.max(1) {
            return Err(wrong(format!(
                "could not match {} port numbers to {} hosts",
                ports.len(),
                count.max(1)
            )));
        }
        let port = |position: usize| -> Result<u16> {
            let text = ports
                .get(if ports.len() == 1 { 0 } else { position })
                .copied()
                .unwrap_or_default();
            if text.is_empty() {
                return Ok(DEFAULT_PORT);
            }
            text.parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| wrong(format!("invalid port number: \"{text}\"")))
        };
        let defaults = |position| -> Result<Vec<Host>> {
            let port = port(position)?;
            Ok(SOCKET_DIRECTORIES
                .iter()
                .map(|directory| Host {
                    endpoint: Endpoint::Socket(directory.into()),
                    port,
                })
                .collect())
        };
        if count == 0 {
            return defaults(0);
        }
        let mut hosts = Vec::with_capacity(count);
        for position in 0..count {
            let name = names.get(position).copied().filter(|name| !name.is_empty());
            let address = addresses
                .get(position)
                .copied()
                .filter(|address| !address.is_empty())
                .map(|address| {
                    address
                        .parse::<IpAddr>()
                        .map_err(|_| wrong(format!("invalid hostaddr: \"{address}\"")))
                })
                .transpose()?;
            let endpoint = match (name, address) {
                (None, None) => {
                    hosts.extend(defaults(position)?);
                    continue;
                }
                (Some(name), None) if name.starts_with(['/', '@']) => Endpoint::Socket(name.into()),
                (name, address) => Endpoint::Tcp {
                    name: name.map(str::to_owned),
                    address,
                },
            };
            hosts.push(Host {
                endpoint,
                port: port(position)?,
            });
        }
        Ok(hosts)
    }
}
