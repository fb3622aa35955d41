//! Where something is: a path, standard input or output, or a URL of an object store.

use std::path::Path;
use std::{fmt, fs};

use crate::error::{Error, Kind, Result};

/// A place, as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `-`: standard input or output.
    Standard,
    /// A path of the local file system.
    Path(String),
    /// An object, or a prefix of objects, in an object store.
    Object(ObjectLocation),
}

/// Which protocol an object store speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// `s3://`: Amazon S3 and all that speaks its protocol.
    S3,
    /// `gs://`: Google Cloud Storage.
    Gcs,
    /// `az://`: Azure Blob Storage.
    Azure,
}

impl Service {
    /// What its URLs begin with, without `://`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// What this service calls a bucket.
    pub(super) fn bucket_word(self) -> &'static str {
        match self {
            Self::Azure => "container",
            _ => "bucket",
        }
    }
}

/// `scheme://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectLocation {
    /// Which protocol.
    pub service: Service,
    /// The bucket, or container.
    pub bucket: String,
    /// The key, or a prefix of keys, without slashes at its ends; empty for the whole bucket.
    pub key: String,
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            bucket,
            key,
        } = self;
        write!(f, "{}://{bucket}", service.scheme())?;
        if key.is_empty() {
            return Ok(());
        }
        write!(f, "/{key}")
    }
}

impl Location {
    /// Whether both are one place, however they are written; a directory by its links, too, where it is there.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let (Self::Path(one), Self::Path(other)) = (self, other) else {
            return self == other;
        };
        match (fs::canonicalize(one), fs::canonicalize(other)) {
            (Ok(one), Ok(other)) => one == other,
            _ => Path::new(one)
                .components()
                .eq(Path::new(other).components()),
        }
    }

    /// Reads a place: `-`, `s3://bucket/key`, `gs://bucket/key`, `az://container/key`,
    /// `file:///path`, or a path.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a URL of another scheme, without a bucket, with something that belongs to
    /// the settings (user, query), or with a key that no store takes.
    pub fn parse(text: &str) -> Result<Self> {
        let usage = |why: String| Err(Error::new(Kind::Usage, why));
        if text == "-" {
            return Ok(Self::Standard);
        }
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| {
            scheme.len() > 1
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        }) else {
            return Ok(Self::Path(text.to_owned()));
        };
        let service = match scheme {
            "s3" => Service::S3,
            "gs" => Service::Gcs,
            "az" => Service::Azure,
            "file" if rest.starts_with('/') => return Ok(Self::Path(rest.to_owned())),
            "file" => {
                return usage(format!(
                    "{text}: a file URL has three slashes: file:///path"
                ));
            }
            _ => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{scheme}:// is no storage that is known"),
                )
                .with_hint("known are s3://, gs://, az://, file:// and plain paths"));
            }
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains('@') {
            // Not repeated: it may be a secret.
            return Err(Error::new(
                Kind::Usage,
                format!("a {scheme}:// URL has no place for credentials"),
            )
            .with_hint("give them in the environment, see docs/storage.md"));
        }
        let word = service.bucket_word();
        if bucket.is_empty() {
            return usage(format!("{text}: it names no {word}"));
        }
        if !bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte))
        {
            return usage(format!("{text}: {bucket:?} is no name of a {word}"));
        }
        let key = key.strip_suffix('/').unwrap_or(key);
        check_key(key).map_err(|error| error.context(text))?;
        Ok(Self::Object(ObjectLocation {
            service,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }))
    }
}

/// Keys that mean the same in every store, a directory too.
pub(super) fn check_key(key: &str) -> Result<()> {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if !key.is_empty() && key.split('/').any(odd) {
        return Err(Error::new(
            Kind::Usage,
            "a key has no empty part and none that is . or ..",
        ));
    }
    if key.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::new(
            Kind::Usage,
            "a key has no control characters in it",
        ));
    }
    if key.len() > 1024 {
        return Err(Error::new(Kind::Usage, "a key has at most 1024 bytes"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn object(service: Service, bucket: &str, key: &str) -> Location {
        Location::Object(ObjectLocation {
            service,
            bucket: bucket.into(),
            key: key.into(),
        })
    }

    #[test]
    fn places_are_told_apart() {
        let cases = [
            ("-", Location::Standard),
            ("shop.pgstow", Location::Path("shop.pgstow".into())),
            ("./s3:/x", Location::Path("./s3:/x".into())),
            ("file:///var/x", Location::Path("/var/x".into())),
            ("s3://b", object(Service::S3, "b", "")),
            ("s3://b/", object(Service::S3, "b", "")),
            (
                "s3://b/a b/c.pgstow",
                object(Service::S3, "b", "a b/c.pgstow"),
            ),
            ("gs://b_1.x/k", object(Service::Gcs, "b_1.x", "k")),
            ("az://c/k/", object(Service::Azure, "c", "k")),
        ];
        for (text, expected) in cases {
            assert_eq!(Location::parse(text).unwrap(), expected, "{text}");
        }
        let again = Location::parse("s3://b/k").unwrap();
        assert!(matches!(again, Location::Object(it) if it.to_string() == "s3://b/k"));
    }

    #[test]
    fn what_no_store_takes_is_refused() {
        for text in [
            "s3://",
            "s3:///key",
            "s3://b//k",
            "s3://b/../k",
            "s3://b/k\n",
            "s3://b c/k",
            "http://host/x",
            "file://x",
        ] {
            assert_eq!(
                Location::parse(text).unwrap_err().kind(),
                Kind::Usage,
                "{text}"
            );
        }
        let error = Location::parse("s3://AKIA:geheim@b/k").unwrap_err();
        assert!(!format!("{error}{:?}", error.hint()).contains("geheim"));
    }
}
