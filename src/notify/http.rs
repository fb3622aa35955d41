//! Webhooks and pings: requests whose URL nobody sees.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};

use super::attempt::Failure;
use super::text::{is_distrust, reason, without};
use crate::archive::hex;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::task::blocking;
use crate::trust;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Header of the signature.
const SIGNATURE: &str = "x-pgstow-signature";

/// A URL of which only the host is shown.
#[derive(Clone)]
pub(super) struct Address(Url);

impl Address {
    pub(super) fn new(url: &Secret) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(Kind::Usage, format!("the URL {why}")).with_hint("it begins with https://")
        };
        let url = Url::parse(url.reveal()).map_err(|error| wrong(format!("is none: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(
                "begins neither with https:// nor with http://".to_owned(),
            ));
        }
        Ok(Self(url))
    }

    /// Its host, and its port where that is not the usual one.
    pub(super) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The same with a word behind its path.
    pub(super) fn with_word(&self, word: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{word}", url.path().trim_end_matches('/')));
        Self(url)
    }

    /// The host alone: nothing that is meant for anybody.
    pub(super) fn root(&self) -> Self {
        let mut url = self.0.clone();
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        // Only a URL without a host has no place for these.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self(url)
    }

    /// What of it is secret.
    fn secrets(&self) -> Vec<&str> {
        let mut secrets = vec![self.0.as_str()];
        if self.0.path().len() > 3 {
            secrets.push(self.0.path());
        }
        secrets.extend(self.0.query());
        secrets.extend(self.0.password());
        secrets
    }
}

/// What is sent.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) address: Address,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A name that a header can have.
pub(super) fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        Error::new(
            Kind::Usage,
            format!("header {name:?}: this cannot be the name of a header"),
        )
    })
}

impl Request {
    /// A GET.
    pub(super) fn get(address: Address) -> Self {
        Self {
            method: Method::GET,
            address,
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    /// A POST of this text.
    pub(super) fn post(address: Address, content_type: &'static str, body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            method: Method::POST,
            address,
            headers,
            body: body.into_bytes(),
        }
    }

    /// Sets a header, whose value is secret.
    pub(super) fn set_header(&mut self, name: &str, value: &Secret) -> Result<()> {
        let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| {
            Error::new(
                Kind::Usage,
                format!("header {name:?}: its value cannot be in a header"),
            )
        })?;
        let name = header_name(name)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }

    /// Signs the body: `sha256=` and the HMAC in hex.
    pub(super) fn sign(&mut self, key: &Secret) -> Result<()> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.reveal().as_bytes());
        let text = format!(
            "sha256={}",
            hex(ring::hmac::sign(&key, &self.body).as_ref())
        );
        self.set_header(SIGNATURE, &Secret::new(text))
    }

    /// Sends it once.
    pub(super) async fn send(&self, client: &Client) -> Result<(), Failure> {
        let answer = client
            .request(self.method.clone(), self.address.0.clone())
            .headers(self.headers.clone())
            .body(self.body.clone())
            .send()
            .await;
        match answer {
            Ok(answer) => judge(answer.status()),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Whether anybody answers, whatever it is.
    pub(super) async fn reaches(&self, client: &Client) -> Result<(), Failure> {
        match client
            .request(self.method.clone(), self.address.0.clone())
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn explain(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let text = without(&reason(&error), &self.address.secrets());
        let told = Error::new(Kind::Connect, text);
        if is_distrust(&error) {
            return Failure::Final(told.with_hint(super::text::TRUST_HINT));
        }
        Failure::MayPass(told)
    }
}

/// What an answer means.
fn judge(status: StatusCode) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let error = |text: &str| Error::new(Kind::Failed, format!("the answer was {status}{text}"));
    if status.is_redirection() {
        return Err(Failure::Final(
            error(": redirects are not followed").with_hint(
                "give the URL that it leads to: a redirect would hand secrets to another host",
            ),
        ));
    }
    let passes = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    Err(if passes {
        Failure::MayPass(error(""))
    } else {
        Failure::Final(error(""))
    })
}

/// A client that trusts this machine's authorities and those of a file.
pub(super) async fn client(ca_file: Option<&Path>) -> Result<Client> {
    let ca_file = ca_file.map(Path::to_owned);
    let authorities = blocking(move || {
        trust::authorities(ca_file.as_deref()).map_err(|error| error.context("ca_file"))
    });
    Client::builder()
        .tls_backend_preconfigured(trust::client(authorities.await?)?)
        .user_agent(concat!("pgstow/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Error::new(Kind::Failed, format!("set up HTTP: {}", reason(&error))))
}
