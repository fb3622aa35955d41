//! Object stores: Amazon S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, HeaderMap, HeaderValue, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig,
};

use super::client::{CONNECT, Connector};
use super::location::{ObjectLocation, Service, check_key};
use super::part_size::PartSizes;
use super::refusal::{Refusal, explain, is_cut, is_told, sort};
use super::settings::{StoreSettings, endpoint};
use super::unfinished::{Begun, Uploads};
use super::upload::UploadSink;
use super::{ObjectInfo, Overwrite, Put, Sink, Source, Store};
use crate::error::{Context as _, Error, Kind, Result};

/// How often a list is asked for whose answer is cut.
const LIST_TRIES: u32 = 4;

/// What this room needs of the library's stores.
pub(super) trait Backend: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Backend for T {}

/// A bucket, by clients that differ in their patience.
pub(super) struct Bucket {
    service: Service,
    name: String,
    /// For the first contact: what is set up wrongly is to be told soon.
    hasty: Arc<dyn Backend>,
    /// For work under way: a store may be gone for a minute.
    steady: Arc<dyn Backend>,
    /// Completes an upload only if there is no such object yet, where the protocol has that.
    creating: Option<Arc<dyn Backend>>,
    /// Lists uploads that were begun, where the protocol has that.
    uploads: Option<Uploads>,
    pub(super) part_sizes: PartSizes,
    /// Whether it is known that the bucket is there.
    known: AtomicBool,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.service.scheme(), self.name)
    }
}

fn hasty() -> RetryConfig {
    RetryConfig {
        max_retries: 3,
        retry_timeout: Duration::from_secs(20),
        ..steady()
    }
}

fn steady() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(15),
            base: 2.,
        },
        max_retries: 10,
        retry_timeout: Duration::from_secs(180),
    }
}

impl Bucket {
    fn new(service: Service, name: &str, settings: &StoreSettings) -> Result<Self> {
        let failed = |error: object_store::Error| {
            let what = format!("open {}://{name}", service.scheme());
            explain(error, &what, service, name)
        };
        settings.refuse_no_text(match service {
            Service::S3 => "AWS_",
            Service::Gcs => "GOOGLE_",
            Service::Azure => "AZURE_",
        })?;
        let connector = Connector::new(settings)?;
        let chosen = settings.get("PGSTOW_PART_SIZE").map(PartSizes::parse);
        let mut part_sizes = PartSizes::Growing;
        let mut uploads = None;
        let (hasty, steady, creating): (Arc<dyn Backend>, Arc<dyn Backend>, _) = match service {
            Service::S3 => {
                let set_up = s3(name, settings, connector.clone())?;
                if set_up.uniform_parts {
                    part_sizes = PartSizes::Fixed(64 << 20);
                }
                let build = |retry, headers| {
                    let options = ClientOptions::new()
                        .with_allow_http(set_up.allow_http)
                        .with_default_headers(headers);
                    let builder = set_up.builder.clone().with_client_options(options);
                    builder.with_retry(retry).build().map_err(failed)
                };
                let mut absent = HeaderMap::new();
                absent.insert("if-none-match", HeaderValue::from_static("*"));
                let steady_one = build(steady(), HeaderMap::new())?;
                // Without credentials nothing can be signed.
                if !settings.flag("AWS_SKIP_SIGNATURE") {
                    let client = connector.client(!set_up.allow_http, CONNECT);
                    let client = client.map_err(|error| {
                        Error::new(Kind::Storage, "make an HTTP client").with_source(error)
                    })?;
                    uploads = Some(Uploads::new(steady_one.clone(), client));
                }
                (
                    Arc::new(build(hasty(), HeaderMap::new())?),
                    Arc::new(steady_one),
                    Some(Arc::new(build(steady(), absent)?) as Arc<dyn Backend>),
                )
            }
            Service::Gcs => {
                let builder = gcs(name, settings, connector);
                let build = |retry| builder.clone().with_retry(retry).build().map_err(failed);
                (Arc::new(build(hasty())?), Arc::new(build(steady())?), None)
            }
            Service::Azure => {
                let builder = azure(name, settings, connector);
                let build = |retry| builder.clone().with_retry(retry).build().map_err(failed);
                (Arc::new(build(hasty())?), Arc::new(build(steady())?), None)
            }
        };
        Ok(Self {
            service,
            name: name.to_owned(),
            hasty,
            steady,
            creating,
            uploads,
            part_sizes: chosen.transpose()?.unwrap_or(part_sizes),
            known: AtomicBool::new(false),
        })
    }

    /// The client for work under way.
    pub(super) fn steady(&self) -> &Arc<dyn Backend> {
        &self.steady
    }

    /// The client that completes an upload only where nothing is.
    pub(super) fn creating(&self) -> Option<&Arc<dyn Backend>> {
        self.creating.as_ref()
    }

    /// What an error means, with the work and the object in front of it.
    pub(super) fn explain(&self, error: object_store::Error, verb: &str, path: &Path) -> Error {
        let what = format!("{verb} {}", self.url(path));
        explain(error, &what, self.service, &self.name)
    }

    /// The object's URL.
    pub(super) fn url(&self, path: &Path) -> String {
        let Self { service, name, .. } = self;
        if path.as_ref().is_empty() {
            return format!("{}://{name}", service.scheme());
        }
        format!("{}://{name}/{path}", service.scheme())
    }

    /// What is known about an object; by a client of `patience`.
    pub(super) async fn look(
        &self,
        client: &Arc<dyn Backend>,
        path: &Path,
    ) -> object_store::Result<Option<ObjectMeta>> {
        let by_head = match client.head(path).await {
            Ok(found) => {
                self.known.store(true, Ordering::Relaxed);
                return Ok(Some(found));
            }
            Err(error) => error,
        };
        match sort(&by_head) {
            Refusal::NoObject if self.known.load(Ordering::Relaxed) => return Ok(None),
            Refusal::Unreachable | Refusal::Certificate | Refusal::NoCredentials => {
                return Err(by_head);
            }
            _ => {}
        }
        // The answer to HEAD has no body in which the store could say what it is about.
        let first = GetOptions {
            range: Some(GetRange::Bounded(0..1)),
            ..GetOptions::default()
        };
        match client.get_opts(path, first).await {
            Ok(found) => Ok(Some(found.meta)),
            Err(error) if sort(&error) == Refusal::NoObject => {
                self.known.store(true, Ordering::Relaxed);
                Ok(None)
            }
            // Nothing more was learnt than from the first answer.
            Err(error) if sort(&error) == Refusal::Other && !is_told(&error) => Err(by_head),
            Err(error) => Err(error),
        }
    }

    /// Uploads that were begun, whose path begins so.
    async fn begun(&self, prefix: &str) -> Result<Vec<Begun>> {
        let Some(uploads) = &self.uploads else {
            return Ok(Vec::new());
        };
        let context = || format!("list unfinished uploads in {self:?}");
        uploads.beginning(prefix).await.context_with(context)
    }

    /// Writes a small object.
    pub(super) async fn put(
        &self,
        path: &Path,
        bytes: PutPayload,
        overwrite: Overwrite,
    ) -> object_store::Result<Put> {
        let plain = || self.steady.put(path, bytes.clone());
        if overwrite == Overwrite::Replace {
            return plain().await.map(|_| Put::Written);
        }
        // Not every store honours the condition, and some ignore it silently.
        if self.look(&self.steady, path).await?.is_some() {
            return Ok(Put::Exists);
        }
        let create = PutOptions::from(PutMode::Create);
        match self.steady.put_opts(path, bytes.clone(), create).await {
            Ok(_) => Ok(Put::Written),
            Err(
                object_store::Error::NotSupported { .. }
                | object_store::Error::NotImplemented { .. },
            ) => plain().await.map(|_| Put::Written),
            Err(error) if sort(&error) == Refusal::Condition => {
                // Perhaps by this very call, whose first answer was lost.
                let read = async { self.steady.get(path).await?.bytes().await };
                let found = match read.await {
                    Ok(found) => found,
                    // It is gone again, or another writer's and not complete yet.
                    Err(error) if sort(&error) == Refusal::NoObject => return Ok(Put::Exists),
                    Err(error) => return Err(error),
                };
                let same = found.iter().eq(bytes.iter().flatten());
                Ok(if same { Put::Written } else { Put::Exists })
            }
            Err(error) => Err(error),
        }
    }
}

/// An S3 client but for its patience.
struct S3 {
    builder: AmazonS3Builder,
    allow_http: bool,
    /// Whether this provider wants all parts but the last to be equal.
    uniform_parts: bool,
}

fn s3(bucket: &str, settings: &StoreSettings, connector: Connector) -> Result<S3> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in settings.beginning("AWS_") {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let has_keys = settings.get("AWS_ACCESS_KEY_ID").is_some();
    let elsewhere = [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let named = settings
        .first_of(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
        .is_some();
    let by_profile = !has_keys
        && !settings.flag("AWS_SKIP_SIGNATURE")
        && (named || settings.first_of(&elsewhere).is_none());
    let profile = if by_profile || named {
        settings.aws_profile()?
    } else {
        std::collections::BTreeMap::new()
    };
    if by_profile {
        if let Some(id) = profile.get("aws_access_key_id") {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = profile.get("aws_secret_access_key") {
            builder = builder.with_secret_access_key(secret);
        }
        if let Some(token) = profile.get("aws_session_token") {
            builder = builder.with_token(token);
        }
    }
    let endpoint = settings
        .first_of(&[
            "AWS_ENDPOINT_URL_S3",
            "AWS_S3_ENDPOINT",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT",
        ])
        .or_else(|| profile.get("endpoint_url").map(String::as_str))
        .map(endpoint)
        .transpose()?;
    let is_r2 = endpoint
        .as_ref()
        .is_some_and(|it| it.ends_with(".r2.cloudflarestorage.com"));
    let region = settings
        .first_of(&["AWS_REGION", "AWS_DEFAULT_REGION"])
        .or_else(|| profile.get("region").map(String::as_str))
        .unwrap_or(if is_r2 { "auto" } else { "us-east-1" });
    builder = builder
        .with_bucket_name(bucket)
        .with_region(region)
        // Not every provider has the call that deletes many, and single ones are enough.
        .with_disable_bulk_delete(true)
        .with_http_connector(connector);
    let mut allow_http = false;
    if let Some(endpoint) = endpoint {
        allow_http = endpoint.starts_with("http://");
        // Set as the more specific of the two, which wins over whatever was read above.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    } else if settings.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST").is_none() && !bucket.contains('.') {
        // A bucket with a dot in its name does not fit the certificate of Amazon's hosts.
        builder = builder.with_virtual_hosted_style_request(true);
    }
    Ok(S3 {
        builder,
        allow_http,
        uniform_parts: is_r2,
    })
}

fn gcs(bucket: &str, settings: &StoreSettings, connector: Connector) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (name, value) in settings.beginning("GOOGLE_") {
        if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let mut options = ClientOptions::new();
    if let Some(emulator) = settings.get("STORAGE_EMULATOR_HOST") {
        let url = if emulator.contains("://") {
            emulator.to_owned()
        } else {
            format!("http://{emulator}")
        };
        options = options.with_allow_http(url.starts_with("http://"));
        builder = builder
            .with_config(GoogleConfigKey::BaseUrl, url.trim_end_matches('/'))
            // An emulator takes any, but the client wants to have one.
            .with_config(GoogleConfigKey::BearerToken, "emulator");
    }
    builder
        .with_bucket_name(bucket)
        .with_client_options(options)
        .with_http_connector(connector)
}

fn azure(container: &str, settings: &StoreSettings, connector: Connector) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in settings.beginning("AZURE_") {
        // The names of Microsoft's own tools are shorter.
        let name = match name {
            "AZURE_STORAGE_ACCOUNT" => "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_STORAGE_KEY" => "AZURE_STORAGE_ACCOUNT_KEY",
            other => other,
        };
        if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let http = settings
        .first_of(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"])
        .is_some_and(|it| it.starts_with("http://"));
    builder
        .with_container_name(container)
        .with_client_options(ClientOptions::new().with_allow_http(http))
        .with_http_connector(connector)
}

/// A bucket, or what is below a prefix of it, as a store.
#[derive(Clone, Debug)]
pub struct CloudStore {
    bucket: Arc<Bucket>,
    prefix: String,
}

impl CloudStore {
    /// Prepares clients; the store is not asked anything yet.
    ///
    /// # Errors
    /// [`Kind::Storage`] when the settings do not do: no credentials that could be used, a file that
    /// cannot be read; [`Kind::Usage`] for a setting with a value that makes no sense.
    pub fn new(location: &ObjectLocation, settings: &StoreSettings) -> Result<Self> {
        Ok(Self {
            bucket: Arc::new(Bucket::new(location.service, &location.bucket, settings)?),
            prefix: location.key.clone(),
        })
    }

    fn path(&self, key: &str) -> Result<Path> {
        let full = match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        };
        let fail = |why: String| Error::new(Kind::Usage, format!("{}: {why}", self.name()));
        check_key(key).map_err(|error| error.context(self.name()))?;
        Path::parse(&full).map_err(|error| fail(error.to_string()))
    }

    /// The path of an object, which has a name.
    fn object(&self, key: &str) -> Result<Path> {
        let path = self.path(key)?;
        if path.as_ref().is_empty() {
            let url = self.bucket.url(&path);
            return Err(
                Error::new(Kind::Usage, format!("{url}: it names no object"))
                    .with_hint(format!("add a name: {url}/NAME.pgstow")),
            );
        }
        Ok(path)
    }

    /// The key that stands for this path.
    fn key(&self, path: &Path) -> Option<String> {
        let key = path.as_ref().strip_prefix(self.prefix.as_str())?;
        Some(key.strip_prefix('/').unwrap_or(key).to_owned())
    }

    fn info(&self, meta: &ObjectMeta) -> Option<ObjectInfo> {
        Some(ObjectInfo {
            key: self.key(&meta.location)?,
            bytes: meta.size,
            modified: meta.last_modified.timestamp(),
        })
    }
}

impl Store for CloudStore {
    fn name(&self) -> String {
        match self.prefix.as_str() {
            "" => format!("{:?}", self.bucket),
            prefix => format!("{:?}/{prefix}", self.bucket),
        }
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        Box::pin(async move {
            let path = self.object(key)?;
            match self.bucket.look(&self.bucket.hasty, &path).await {
                Ok(found) => Ok(found.and_then(|found| self.info(&found))),
                Err(error) => Err(self.bucket.explain(error, "look at", &path)),
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let path = self.object(key)?;
            let read = async { self.bucket.steady.get(&path).await?.bytes().await };
            match read.await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if sort(&error) == Refusal::NoObject => Ok(None),
                Err(error) => Err(self.bucket.explain(error, "read", &path)),
            }
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Put>> {
        Box::pin(async move {
            let path = self.object(key)?;
            let put = self.bucket.put(&path, bytes.into(), overwrite).await;
            put.map_err(|error| self.bucket.explain(error, "write", &path))
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let path = self.object(key)?;
            match self.bucket.steady.delete(&path).await {
                Ok(()) => Ok(()),
                Err(error) if sort(&error) == Refusal::NoObject => Ok(()),
                Err(error) => Err(self.bucket.explain(error, "delete", &path)),
            }
        })
    }

    fn sweep<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let path = self.object(key)?;
            for upload in self.bucket.begun(path.as_ref()).await? {
                if upload.path != path {
                    continue;
                }
                let aborted = self.bucket.steady.abort_multipart(&path, &upload.id).await;
                match aborted {
                    Ok(()) => {}
                    Err(error) if matches!(sort(&error), Refusal::NoUpload | Refusal::NoObject) => {
                    }
                    Err(error) => {
                        return Err(self.bucket.explain(error, "remove parts of", &path));
                    }
                }
            }
            Ok(())
        })
    }

    fn unfinished<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        Box::pin(async move {
            let path = self.path(prefix)?;
            let below = match path.as_ref() {
                "" => String::new(),
                path => format!("{path}/"),
            };
            let begun = self.bucket.begun(&below).await?.into_iter();
            let mut found: Vec<ObjectInfo> = begun
                .filter_map(|upload| {
                    Some(ObjectInfo {
                        key: self.key(&upload.path)?,
                        bytes: 0,
                        modified: upload.since?,
                    })
                })
                .collect();
            found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        Box::pin(async move {
            let path = self.path(prefix)?;
            let below = (!path.as_ref().is_empty()).then_some(&path);
            let mut tries = 0;
            let mut found: Vec<ObjectInfo> = loop {
                tries += 1;
                let found = self.bucket.steady.list(below);
                let listing = found
                    .map(|meta| meta.map(|meta| self.info(&meta)))
                    .try_filter_map(|info| futures::future::ready(Ok(info)))
                    .try_collect();
                match Box::pin(listing).await {
                    Ok(found) => break found,
                    // The library asks again for an answer that does not come, but not for one that ends too soon.
                    Err(error) if tries < LIST_TRIES && is_cut(&error) => {}
                    Err(error) => return Err(self.bucket.explain(error, "list", &path)),
                }
            };
            found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>>> {
        Box::pin(async move {
            let path = self.object(key)?;
            let before = match self.bucket.look(&self.bucket.hasty, &path).await {
                Ok(Some(_)) if overwrite == Overwrite::Refuse => {
                    return Err(exists(&self.bucket, &path));
                }
                Ok(found) => found,
                // Amazon does not tell who may not list whether there is something.
                Err(error)
                    if overwrite == Overwrite::Replace && sort(&error) == Refusal::NoRight =>
                {
                    None
                }
                Err(error) => return Err(self.bucket.explain(error, "write", &path)),
            };
            let bucket = Arc::clone(&self.bucket);
            Ok(Box::new(UploadSink::new(bucket, path, overwrite, before)) as Box<dyn Sink>)
        })
    }

    fn open<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Arc<dyn Source>>> {
        Box::pin(async move {
            let path = self.object(key)?;
            let found = self.bucket.look(&self.bucket.hasty, &path).await;
            let found = found.map_err(|error| self.bucket.explain(error, "open", &path))?;
            let Some(meta) = found else {
                let url = self.bucket.url(&path);
                return Err(Error::new(
                    Kind::Storage,
                    format!("open {url}: there is no such object"),
                ));
            };
            Ok(Arc::new(CloudSource {
                bucket: Arc::clone(&self.bucket),
                path,
                meta,
            }) as Arc<dyn Source>)
        })
    }
}

/// The refusal to replace an object.
pub(super) fn exists(bucket: &Bucket, path: &Path) -> Error {
    Error::new(Kind::Refused, format!("{} exists", bucket.url(path)))
}

/// An object, read by ranges; always the version that was there when it was opened.
struct CloudSource {
    bucket: Arc<Bucket>,
    path: Path,
    meta: ObjectMeta,
}

impl Source for CloudSource {
    fn name(&self) -> String {
        self.bucket.url(&self.path)
    }

    fn len(&self) -> u64 {
        self.meta.size
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        Box::pin(async move {
            let short = |why: &str| {
                let name = self.name();
                Error::new(Kind::Storage, format!("read {name} at {offset}: {why}"))
            };
            if length == 0 {
                return Ok(Bytes::new());
            }
            let end = offset
                .checked_add(length as u64)
                .filter(|end| *end <= self.meta.size)
                .ok_or_else(|| short("beyond its end"))?;
            let options = GetOptions {
                range: Some(GetRange::Bounded(offset..end)),
                if_match: self.meta.e_tag.clone(),
                ..GetOptions::default()
            };
            let read = async {
                let got = self.bucket.steady.get_opts(&self.path, options).await?;
                got.bytes().await
            };
            let bytes = read
                .await
                .map_err(|error| self.bucket.explain(error, "read", &self.path))?;
            if bytes.len() != length {
                return Err(short("fewer bytes came than were asked for"));
            }
            Ok(bytes)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn the_one_store_that_wants_equal_parts_gets_them() {
        let parts = |endpoint: &str, size: &str| {
            let settings = StoreSettings::new()
                .with("AWS_ACCESS_KEY_ID", "k")
                .with("AWS_SECRET_ACCESS_KEY", "s")
                .with("AWS_S3_ENDPOINT", endpoint)
                .with("PGSTOW_PART_SIZE", size);
            let bucket = Bucket::new(Service::S3, "backups", &settings);
            bucket.unwrap().part_sizes
        };
        let r2 = "https://0123.r2.cloudflarestorage.com";
        assert_eq!(parts(r2, ""), PartSizes::Fixed(64 << 20));
        assert_eq!(parts(r2, "128MiB"), PartSizes::Fixed(128 << 20));
        assert_eq!(parts("https://s3.example", ""), PartSizes::Growing);
    }
}
