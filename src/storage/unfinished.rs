//! Uploads in parts that were begun in a bucket and neither completed nor removed, as S3's protocol lists
//! them. The library of stores has no call for that, but it signs one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use reqwest::{Client, StatusCode};
use serde::Deserialize;

use crate::error::{Error, Kind, Result};
use crate::task::Backoff;

/// How long a signed request is good for, and may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most pages of a list: 1,000 uploads each.
const PAGES: usize = 100;

/// An upload that was begun.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// Which object it would have been, in the bucket.
    pub(super) path: Path,
    /// What the store calls the upload.
    pub(super) id: String,
    /// When it began, in seconds since 1970, by the store's clock; `None` when the store does not tell.
    pub(super) since: Option<i64>,
}

/// Lists uploads.
pub(super) struct Uploads {
    signer: Arc<dyn Signer>,
    client: Client,
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uploads")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: Option<String>,
}

impl Uploads {
    pub(super) fn new(signer: impl Signer + ObjectStore, client: Client) -> Self {
        Self {
            signer: Arc::new(signer),
            client,
        }
    }

    /// Those whose path begins with `prefix`; none where the store has no such call, or the credentials no
    /// right to it.
    ///
    /// # Errors
    /// [`Kind::Storage`] when the store cannot be reached, or gives an answer that is none.
    pub(super) async fn beginning(&self, prefix: &str) -> Result<Vec<Begun>> {
        let mut found = Vec::new();
        let mut after = None;
        for _ in 0..PAGES {
            let Some(text) = self.page(prefix, after.as_ref()).await? else {
                break;
            };
            let page: Page = quick_xml::de::from_str(&text).map_err(|error| {
                Error::new(Kind::Storage, format!("not a list of uploads: {error}"))
            })?;
            found.extend(page.uploads.into_iter().filter_map(Upload::begun));
            let markers = (page.next_key_marker, page.next_upload_id_marker);
            after = match markers {
                (Some(key), Some(id)) if page.is_truncated && !key.is_empty() => Some((key, id)),
                _ => break,
            };
        }
        Ok(found)
    }

    async fn page(&self, prefix: &str, after: Option<&(String, String)>) -> Result<Option<String>> {
        let mut waits = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), 5);
        loop {
            let failure = match self.ask(prefix, after).await? {
                Ok(text) => return Ok(text),
                Err(failure) => failure,
            };
            match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(Error::new(Kind::Storage, failure)),
            }
        }
    }

    /// One try; the inner error is of a kind that may pass.
    async fn ask(
        &self,
        prefix: &str,
        after: Option<&(String, String)>,
    ) -> Result<std::result::Result<Option<String>, String>> {
        let mut query = vec![("uploads", ""), ("prefix", prefix)];
        if let Some((key, id)) = after {
            query.extend([("key-marker", key.as_str()), ("upload-id-marker", id)]);
        }
        let options = SignedUrlOptions::new().with_query(query);
        let bucket = Path::default();
        let signed = self
            .signer
            .signed_url_opts(Method::GET, &bucket, PATIENCE, &options);
        let url = signed.await.map_err(|error| {
            Error::new(Kind::Storage, format!("sign a request: {error}")).with_source(error)
        })?;
        let answer = self.client.get(url).timeout(PATIENCE).send().await;
        // The URL is as good as a key for a minute.
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error.without_url().to_string())),
        };
        let status = answer.status();
        if status.is_success() {
            let text = answer.text().await;
            return Ok(text
                .map(Some)
                .map_err(|error| error.without_url().to_string()));
        }
        let passes = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || status == StatusCode::TOO_MANY_REQUESTS;
        Ok(if passes {
            Err(format!("the store answers {status}"))
        } else {
            // Not every store lists them, nor lets everybody.
            Ok(None)
        })
    }
}

impl Upload {
    fn begun(self) -> Option<Begun> {
        let since = self.initiated.and_then(|it| it.parse().ok());
        Some(Begun {
            // A key that is no path was not written by this program.
            path: Path::parse(&self.key).ok()?,
            id: self.upload_id,
            since: since.map(jiff::Timestamp::as_second),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Bucket>b</Bucket><KeyMarker/><NextKeyMarker>a&amp;b/x</NextKeyMarker><IsTruncated>true</IsTruncated>
            <Upload><Key>a&amp;b/x</Key><UploadId>one</UploadId><Initiated>2026-11-22T03:00:00.000Z</Initiated>
            <Owner><ID>o</ID></Owner></Upload>
            <Upload><Key>a//c</Key><UploadId>two</UploadId></Upload></ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(text).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_key_marker.as_deref(), Some("a&b/x"));
        let begun: Vec<Begun> = page.uploads.into_iter().filter_map(Upload::begun).collect();
        let expected = Begun {
            path: Path::parse("a&b/x").unwrap(),
            id: "one".to_owned(),
            since: Some(1_795_316_400),
        };
        assert_eq!(begun, [expected]);
        let none = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        let none: Page = quick_xml::de::from_str(none).unwrap();
        assert!(none.uploads.is_empty());
    }
}
