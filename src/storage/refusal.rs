//! What an answer of an object store means, and what the user can do about it.

use std::error::Error as StdError;

use object_store::client::HttpError;

use super::location::Service;
use crate::error::{Error, Kind};

/// Why a store did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No such bucket.
    NoBucket,
    /// No such object.
    NoObject,
    /// The condition of a request was not met.
    Condition,
    /// The store does not know who asks.
    UnknownKey,
    /// The secret does not fit.
    WrongSecret,
    /// What was good once is no more.
    Expired,
    /// This machine and the store do not agree on the time.
    Clock,
    /// Known, but not allowed to.
    NoRight,
    /// No credentials were found.
    NoCredentials,
    /// The bucket is in another region than was said.
    Region,
    /// A part was of a size that the store does not take.
    PartSize,
    /// The upload is not there any more.
    NoUpload,
    /// The store is full, or its owner's quota is.
    Full,
    /// The certificate is not to be trusted.
    Certificate,
    /// The store could not be reached.
    Unreachable,
    /// Something else.
    Other,
}

/// Sorts an error of the library by what the service answered: its error code, then the HTTP status
/// by way of the error's variant, then what happened to the connection.
pub(super) fn sort(error: &object_store::Error) -> Refusal {
    let text = chain(error);
    if let Some(code) = service_code(&text) {
        match code {
            "NoSuchBucket" | "ContainerNotFound" => return Refusal::NoBucket,
            "NoSuchKey" | "BlobNotFound" => return Refusal::NoObject,
            "NoSuchUpload" => return Refusal::NoUpload,
            "InvalidAccessKeyId" => return Refusal::UnknownKey,
            "SignatureDoesNotMatch" | "AuthenticationFailed" => return Refusal::WrongSecret,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "TokenRefreshRequired"
            | "RequestExpired"
            | "InvalidToken" => return Refusal::Expired,
            "RequestTimeTooSkewed" => return Refusal::Clock,
            // Garage has no code of its own for it.
            "InvalidRequest" if service_message(&text).is_some_and(is_about_time) => {
                return Refusal::Clock;
            }
            "AccessDenied"
            | "AllAccessDisabled"
            | "AccountProblem"
            | "AuthorizationPermissionMismatch"
            | "AuthorizationFailure" => {
                return Refusal::NoRight;
            }
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "TemporaryRedirect" => {
                return Refusal::Region;
            }
            "EntityTooSmall" | "EntityTooLarge" | "InvalidPart" | "InvalidPartOrder" => {
                return Refusal::PartSize;
            }
            "PreconditionFailed"
            | "ConditionNotMet"
            | "BlobAlreadyExists"
            | "ConditionalRequestConflict" => return Refusal::Condition,
            "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" => return Refusal::Full,
            _ => {}
        }
    }
    match error {
        object_store::Error::NotFound { .. } => return Refusal::NoObject,
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            return Refusal::Condition;
        }
        object_store::Error::Unauthenticated { .. } => return Refusal::WrongSecret,
        object_store::Error::PermissionDenied { .. } => return Refusal::NoRight,
        _ => {}
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut http = false;
    while let Some(inner) = cause {
        if is_of_tls(inner) {
            return Refusal::Certificate;
        }
        http |= inner.is::<HttpError>();
        cause = inner.source();
    }
    // Credentials of a machine are asked for at an address that is there only on such machines.
    if text.contains("169.254.169.254") || text.contains("metadata.google.internal") {
        return Refusal::NoCredentials;
    }
    if text.contains("Missing AccessKeyId") || text.contains("Missing SecretAccessKey") {
        return Refusal::NoCredentials;
    }
    if text.contains("Received redirect without LOCATION") || text.contains("301 Moved") {
        return Refusal::Region;
    }
    if http {
        Refusal::Unreachable
    } else {
        Refusal::Other
    }
}

/// Whether TLS is what failed, in however many system errors that is wrapped.
fn is_of_tls(error: &(dyn StdError + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    let wrapped = error.downcast_ref::<std::io::Error>();
    wrapped
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| is_of_tls(inner))
}

/// All that an error and its causes say.
fn chain(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

/// The `<Code>` of the XML in which S3, Google and Azure alike say what is wrong.
fn service_code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code)
}

/// The service's own sentence.
fn service_message(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Message>")?;
    let (message, _) = rest.split_once("</Message>")?;
    message.lines().next()
}

/// Whether a service says so that the time of the request is not right.
fn is_about_time(message: &str) -> bool {
    message.contains("Date is too old") || message.contains("Date is too far in the future")
}

/// Whether an answer had a body in which the service says what is wrong; those to HEAD have none.
pub(super) fn is_told(error: &object_store::Error) -> bool {
    service_code(&chain(error)).is_some()
}

/// Whether an answer had begun to come and was cut.
pub(super) fn is_cut(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner
            .downcast_ref::<reqwest::Error>()
            .is_some_and(|it| it.is_body() || it.is_decode())
        {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The innermost cause in words; no URL, which may carry a token.
fn innermost(error: &object_store::Error) -> String {
    let mut words = String::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = inner.to_string();
        cause = inner.source();
    }
    words.lines().next().unwrap_or_default().to_owned()
}

/// The error that a user sees: `what` is the work with the location in it.
pub(super) fn explain(
    error: object_store::Error,
    what: &str,
    service: Service,
    bucket: &str,
) -> Error {
    let text = chain(&error);
    let code = service_code(&text).map(str::to_owned);
    // What is written need not be there: it is the place that is not.
    let refusal = match sort(&error) {
        Refusal::NoObject if what.starts_with("write ") => Refusal::NoBucket,
        refusal => refusal,
    };
    let word = service.bucket_word();
    let (keys, secret, clock, region) = match service {
        Service::S3 => (
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
            "look at AWS_SECRET_ACCESS_KEY: it does not belong to AWS_ACCESS_KEY_ID, or the endpoint \
             belongs to another provider",
            "set this machine's clock: S3 accepts 15 minutes of difference",
            "set AWS_REGION to the bucket's region (auto for R2)",
        ),
        Service::Gcs => (
            "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to a key file",
            "look at the service account's key: it may have been replaced",
            "set this machine's clock",
            "look at the endpoint",
        ),
        Service::Azure => (
            "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
            "look at AZURE_STORAGE_ACCOUNT_KEY, and at this machine's clock",
            "set this machine's clock",
            "look at the endpoint",
        ),
    };
    let (why, hint): (String, Option<String>) = match refusal {
        Refusal::NoBucket => (
            format!("there is no {word} {bucket}"),
            Some(format!("make the {word} first, or look at its name and at the endpoint")),
        ),
        Refusal::NoObject => ("there is no such object".to_owned(), None),
        Refusal::Condition => ("it has been changed by somebody else meanwhile".to_owned(), None),
        Refusal::UnknownKey => (
            "the store does not know the access key".to_owned(),
            Some(keys.to_owned()),
        ),
        Refusal::WrongSecret => (
            "the store rejects the credentials".to_owned(),
            Some(secret.to_owned()),
        ),
        Refusal::Expired => (
            "the credentials have expired".to_owned(),
            Some("get new ones: for a long dump they must be good to its end".to_owned()),
        ),
        Refusal::Clock => (
            "this machine's clock and the store's differ too much".to_owned(),
            Some(clock.to_owned()),
        ),
        Refusal::NoRight => (
            // Some say by this that the key or the secret is wrong.
            match service_message(&text) {
                Some(message) if !message.eq_ignore_ascii_case("access denied") => {
                    format!("permission denied: {message}")
                }
                _ => "permission denied".to_owned(),
            },
            Some(
                "the credentials must be right, and need the rights to read, write, list and delete \
                 objects here; see docs/storage.md"
                    .to_owned(),
            ),
        ),
        Refusal::NoCredentials => ("no credentials were found".to_owned(), Some(keys.to_owned())),
        Refusal::Region => (
            format!("the {word} is in another region"),
            Some(region.to_owned()),
        ),
        Refusal::PartSize => (
            "the store does not take parts of these sizes".to_owned(),
            Some("set PGSTOW_PART_SIZE=64MiB, which makes all parts equal".to_owned()),
        ),
        Refusal::NoUpload => (
            "the upload is not there any more".to_owned(),
            Some("something removed it: a rule for unfinished uploads, or another writer".to_owned()),
        ),
        Refusal::Full => ("the store is full".to_owned(), None),
        Refusal::Certificate => (
            format!("its certificate is not accepted: {}", innermost(&error)),
            Some("name the authority's certificates in AWS_CA_BUNDLE or SSL_CERT_FILE".to_owned()),
        ),
        Refusal::Unreachable => (
            format!("the store cannot be reached: {}", innermost(&error)),
            Some("look at the endpoint and the network".to_owned()),
        ),
        Refusal::Other => match service_message(&text) {
            Some(message) => (message.to_owned(), None),
            None => (innermost(&error), None),
        },
    };
    let code = code.map_or(String::new(), |code| format!(" ({code})"));
    let explained = Error::new(Kind::Storage, format!("{what}: {why}{code}"));
    match hint {
        Some(hint) => explained.with_hint(hint),
        None => explained,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn answer(body: &str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: body.to_owned().into(),
        }
    }

    #[test]
    fn a_service_code_is_sorted_and_told() {
        let body = "403: <Error><Code>RequestTimeTooSkewed</Code><Message>x</Message></Error>";
        assert_eq!(sort(&answer(body)), Refusal::Clock);
        let error = explain(answer(body), "write s3://b/k", Service::S3, "b");
        assert_eq!(error.kind(), Kind::Storage);
        assert_eq!(
            error.message(),
            "write s3://b/k: this machine's clock and the store's differ too much (RequestTimeTooSkewed)"
        );
        assert!(error.hint().unwrap().contains("clock"));
    }

    #[test]
    fn what_stands_in_the_words_alone_is_understood_and_told() {
        let body = "400: <Error><Code>InvalidRequest</Code><Message>Bad request: Date is too old</Message></Error>";
        assert_eq!(sort(&answer(body)), Refusal::Clock);
        let body = "403: <Error><Code>AccessDenied</Code><Message>No such key: K</Message></Error>";
        let error = explain(answer(body), "read s3://b/k", Service::S3, "b");
        let told = "read s3://b/k: permission denied: No such key: K (AccessDenied)";
        assert_eq!(error.message(), told);
        assert!(is_told(&answer(body)) && !is_told(&answer("400 Bad Request")));
    }

    #[test]
    fn a_code_that_is_not_known_is_told_in_the_service_s_words() {
        let body = "400: <Error><Code>Odd</Code><Message>Not today.</Message></Error>";
        let error = explain(answer(body), "read gs://b/k", Service::Gcs, "b");
        assert_eq!(error.message(), "read gs://b/k: Not today. (Odd)");
    }
}
