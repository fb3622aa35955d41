//! HTTP for the object stores: one TLS set-up, and limits on how long anything may stand still.

use std::path::Path;
use std::time::Duration;

use futures::future::BoxFuture;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::Client;

use super::settings::StoreSettings;
use crate::error::{Kind, Result};
use crate::trust;

/// Longest time without a byte of an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a server may take to take a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// What a request may take besides the time for its body.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body that goes out more slowly has stalled: bytes per second.
const SLOWEST: u64 = 64 << 10;

/// Makes clients that trust this machine's authorities and those of `AWS_CA_BUNDLE`.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tls: rustls::ClientConfig,
}

impl Connector {
    /// Reads the authorities.
    ///
    /// # Errors
    /// [`Kind::Storage`] for a bundle that cannot be read.
    pub(super) fn new(settings: &StoreSettings) -> Result<Self> {
        let bundle = settings.get("AWS_CA_BUNDLE").map(Path::new);
        let authorities = trust::authorities(bundle)
            .map_err(|error| error.with_kind(Kind::Storage).context("AWS_CA_BUNDLE"))?;
        let tls = trust::client(authorities)?;
        Ok(Self { tls })
    }

    /// A client; one that is `encrypted` speaks to no server in the clear.
    pub(super) fn client(&self, encrypted: bool, connect: Duration) -> reqwest::Result<Client> {
        Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .user_agent(concat!("pgstow/", env!("CARGO_PKG_VERSION")))
            .https_only(encrypted)
            .http1_only()
            .connect_timeout(connect)
            .read_timeout(SILENCE)
            .tcp_keepalive(Duration::from_secs(30))
            // A redirect would carry the signature to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let is = |key| {
            options
                .get_config_value(&key)
                .is_some_and(|it| it == "true")
        };
        // Shorter for the machine's own metadata service, which is near or not there.
        let connect = match options.get_config_value(&ClientConfigKey::ConnectTimeout) {
            Some(short) if short.starts_with("1 second") => Duration::from_secs(1),
            _ => CONNECT,
        };
        let client = self
            .client(!is(ClientConfigKey::AllowHttp), connect)
            .map_err(|error| object_store::Error::Generic {
                store: "http",
                source: Box::new(error),
            })?;
        Ok(HttpClient::new(Patient(client)))
    }
}

/// Gives a request up when it stands still.
#[derive(Debug)]
struct Patient(Client);

impl HttpService for Patient {
    fn call<'life, 'result>(
        &'life self,
        request: HttpRequest,
    ) -> BoxFuture<'result, Result<HttpResponse, HttpError>>
    where
        'life: 'result,
        Self: 'result,
    {
        Box::pin(async move {
            let bytes = request.body().content_length() as u64;
            let limit = PATIENCE + Duration::from_secs(bytes / SLOWEST);
            match tokio::time::timeout(limit, self.0.call(request)).await {
                Ok(answer) => answer,
                Err(elapsed) => Err(HttpError::new(HttpErrorKind::Timeout, elapsed)),
            }
        })
    }
}
