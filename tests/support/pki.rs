//! Certificates for TLS tests, made by the `openssl` program and thrown away with their directory.

use super::process::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A certificate authority, a server certificate for `localhost` and `127.0.0.1` signed by it, a
/// client certificate for user `postgres`, and a second authority that signed nothing.
///
/// Keys have mode 0600 and belong to the user who runs the tests; the server gets copies.
pub struct Pki {
    dir: PathBuf,
    /// The directory, when nobody else removes it.
    _own: Option<TempDir>,
}

impl Pki {
    pub fn generate() -> Self {
        let own = tempfile::Builder::new()
            .prefix("pgstow-pki")
            .tempdir()
            .unwrap();
        Self::made(own.path().to_owned(), Some(own))
    }

    /// The same in a new directory that goes with the one around it.
    pub fn generate_in(dir: PathBuf) -> Self {
        std::fs::create_dir(&dir).unwrap();
        Self::made(dir, None)
    }

    fn made(dir: PathBuf, own: Option<TempDir>) -> Self {
        let pki = Self { dir, _own: own };
        pki.authority("ca", "pgstow test authority");
        pki.authority("other-ca", "pgstow other authority");
        pki.signed(
            "server",
            "localhost",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        );
        pki.signed("client", "postgres", "extendedKeyUsage=clientAuth");
        pki
    }

    /// The authority's certificate: `sslrootcert`.
    pub fn ca_cert(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// An authority that signed neither the server nor the client.
    pub fn other_ca_cert(&self) -> PathBuf {
        self.path("other-ca.crt")
    }

    pub fn server_cert(&self) -> PathBuf {
        self.path("server.crt")
    }

    pub fn server_key(&self) -> PathBuf {
        self.path("server.key")
    }

    /// The certificate of user `postgres`: `sslcert`.
    pub fn client_cert(&self) -> PathBuf {
        self.path("client.crt")
    }

    /// Its key: `sslkey`.
    pub fn client_key(&self) -> PathBuf {
        self.path("client.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn authority(&self, file: &str, name: &str) {
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &format!("{file}.key"),
            "-out",
            &format!("{file}.crt"),
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
    }

    fn signed(&self, file: &str, name: &str, extension: &str) {
        let (key, request, cert, ext) = (
            format!("{file}.key"),
            format!("{file}.csr"),
            format!("{file}.crt"),
            format!("{file}.ext"),
        );
        std::fs::write(
            self.path(&ext),
            format!("basicConstraints=CA:FALSE\n{extension}\n"),
        )
        .unwrap();
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &request,
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-sha256",
            "-extfile",
            &ext,
            "-out",
            &cert,
        ]);
    }

    fn openssl(&self, args: &[&str]) {
        run(Command::new("openssl").args(args).current_dir(&self.dir)).success();
    }

    /// Where all the files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
