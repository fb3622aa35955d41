//! What the stores are told by the environment: endpoints, regions, credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::error::{Error, Kind, Result, system_reason};

/// Variables as the environment has them, from which stores take endpoint, region and credentials.
///
/// Shown in messages by their names alone, since values may be secret.
#[derive(Clone, Default)]
pub struct StoreSettings {
    variables: BTreeMap<String, String>,
    /// The names of those that are set to bytes that are no UTF-8.
    no_text: BTreeSet<String>,
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl StoreSettings {
    /// No variables at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// The variables of this process.
    pub fn from_environment() -> Self {
        let mut settings = Self::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            settings = match value.into_string() {
                Ok(value) => settings.with(name, value),
                Err(_) => settings.with_no_text(name),
            };
        }
        settings
    }

    /// Notes that a variable is set, though not to text. A store that would look at it does not open.
    #[must_use]
    pub fn with_no_text(mut self, name: impl Into<String>) -> Self {
        self.no_text.insert(name.into());
        self
    }

    /// Refuses variables that begin so and are no text: passed over, they would be as if they were not set.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the name of the first.
    pub(super) fn refuse_no_text(&self, prefix: &str) -> Result<()> {
        let is_missed =
            |name: &&String| name.starts_with(prefix) && !self.variables.contains_key(*name);
        match self.no_text.iter().find(is_missed) {
            Some(name) => Err(Error::new(
                Kind::Usage,
                format!("environment variable {name} is set, but not to UTF-8"),
            )),
            None => Ok(()),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    /// The first of these that is set.
    pub(super) fn first_of(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// All that begin so, and are not empty.
    pub(super) fn beginning(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a variable says yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())
        })
    }

    /// The keys of the profile in the files of the AWS command line; empty when there is none.
    ///
    /// # Errors
    /// [`Kind::Storage`] when a file is there and cannot be read, a profile is named that is not there, or gets its
    /// credentials in a way that is not known here.
    pub(super) fn aws_profile(&self) -> Result<BTreeMap<String, String>> {
        let named = self.first_of(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = named.unwrap_or("default");
        let file = |variable: &str, default: &str| {
            self.get(variable).map(PathBuf::from).or_else(|| {
                let home = PathBuf::from(self.get("HOME")?);
                Some(home.join(".aws").join(default))
            })
        };
        let mut found = BTreeMap::new();
        let mut there = false;
        let in_config = format!("profile {name}");
        let files = [
            (file("AWS_CONFIG_FILE", "config"), vec![name, &in_config]),
            (
                file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
                vec![name],
            ),
        ];
        for (path, sections) in files {
            let Some(text) = path.as_deref().map(read).transpose()?.flatten() else {
                continue;
            };
            if let Some(keys) = section(&text, &sections) {
                there = true;
                found.extend(keys);
            }
        }
        if !there && named.is_some() {
            return Err(Error::new(
                Kind::Storage,
                format!("there is no profile {name} in the files of the AWS command line"),
            ));
        }
        const ELSEWHERE: [&str; 5] = [
            "credential_process",
            "sso_session",
            "sso_start_url",
            "role_arn",
            "login_session",
        ];
        if !found.contains_key("aws_access_key_id")
            && let Some(way) = ELSEWHERE.iter().find(|way| found.contains_key(**way))
        {
            return Err(Error::new(
                Kind::Storage,
                format!("profile {name} has no keys of its own but {way}, which is not known here"),
            )
            .with_hint(format!(
                "eval \"$(aws configure export-credentials --profile {name} --format env)\""
            )));
        }
        Ok(found)
    }
}

/// The URL of an endpoint; one that is written without a scheme is meant with `https`.
///
/// # Errors
/// [`Kind::Usage`] for what is none. The text is not repeated, since it may have a password in it.
pub fn endpoint(text: &str) -> Result<String> {
    let trimmed = text.trim_end_matches('/');
    let url = match text.contains("://") {
        true => trimmed.to_owned(),
        false => format!("https://{trimmed}"),
    };
    let wrong = |why: String| {
        Error::new(Kind::Usage, format!("the endpoint {why}"))
            .with_hint("it is a URL such as https://s3.eu-central-1.example.com")
    };
    let parsed = Url::parse(&url).map_err(|error| wrong(format!("is no URL: {error}")))?;
    match parsed.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(wrong(
            "begins neither with https:// nor with http://".to_owned(),
        )),
    }
}

/// A file, unless it is not there or where nobody may look.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if path.exists() => {
            let why = format!("{}: {}", path.display(), system_reason(&error));
            Err(Error::new(Kind::Storage, why).with_source(error))
        }
        Err(_) => Ok(None),
    }
}

/// The keys of the first of these sections that is there; nested keys are left out.
fn section(text: &str, names: &[&str]) -> Option<BTreeMap<String, String>> {
    let mut keys: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default();
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            inside = names.contains(&name.as_str());
            if inside {
                keys.get_or_insert_default();
            }
            continue;
        }
        if inside
            && !line.starts_with([' ', '\t'])
            && let (Some(keys), Some((key, value))) = (&mut keys, trimmed.split_once('='))
        {
            keys.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    keys
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn profile(
        config: &str,
        credentials: &str,
        name: Option<&str>,
    ) -> Result<BTreeMap<String, String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("config"), config).unwrap();
        fs::write(path("credentials"), credentials).unwrap();
        let mut settings = StoreSettings::new()
            .with("AWS_CONFIG_FILE", path("config"))
            .with("AWS_SHARED_CREDENTIALS_FILE", path("credentials"));
        if let Some(name) = name {
            settings = settings.with("AWS_PROFILE", name);
        }
        settings.aws_profile()
    }

    #[test]
    fn a_profile_is_read_from_both_files() {
        let config = "# x\n[default]\nregion = eu-west-1\n[profile  night]\nregion=auto\n\
                      s3 =\n  endpoint_url = nested\nendpoint_url = https://r2.example\n";
        let credentials = "[default]\naws_access_key_id=A\naws_secret_access_key=S\n\
                           [night]\naws_access_key_id = N\naws_secret_access_key = T\n";
        let night = profile(config, credentials, Some("night")).unwrap();
        assert_eq!(night["region"], "auto");
        assert_eq!(night["endpoint_url"], "https://r2.example");
        assert_eq!(night["aws_secret_access_key"], "T");
        let default = profile(config, credentials, None).unwrap();
        assert_eq!(
            (
                default["region"].as_str(),
                default["aws_access_key_id"].as_str()
            ),
            ("eu-west-1", "A")
        );
        assert!(profile("", "", None).unwrap().is_empty());
        assert_eq!(
            profile("", "", Some("gone")).unwrap_err().kind(),
            Kind::Storage
        );
    }

    /// Else the answer would be that there are no credentials.
    #[test]
    fn a_file_that_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("credentials"), b"[default]\n# \xff\n").unwrap();
        let read = |credentials: &str| {
            StoreSettings::new()
                .with("AWS_CONFIG_FILE", path("nothing"))
                .with("AWS_SHARED_CREDENTIALS_FILE", path(credentials))
                .aws_profile()
        };
        let error = read("credentials").unwrap_err();
        assert_eq!(error.kind(), Kind::Storage);
        assert!(error.message().contains("/credentials: "), "{error}");
        assert!(read("credentials/below").unwrap().is_empty());
    }

    #[test]
    fn endpoints_are_urls() {
        for (text, url) in [
            ("s3.example/", "https://s3.example"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("https://x.example/base/", "https://x.example/base"),
        ] {
            assert_eq!(endpoint(text).unwrap(), url);
        }
        for text in ["not a url", "ftp://x", "https://", "u:geheim@", ""] {
            let error = endpoint(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(!error.message().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn what_a_profile_hides_elsewhere_is_told() {
        let error = profile("[profile sso]\nsso_session = x\n", "", Some("sso")).unwrap_err();
        assert!(error.message().contains("sso_session"), "{error}");
        assert!(
            error
                .hint()
                .unwrap()
                .contains("export-credentials --profile sso")
        );
    }

    #[test]
    fn a_variable_that_is_no_text_is_not_passed_over() {
        let settings = StoreSettings::new().with_no_text("AWS_SECRET_ACCESS_KEY");
        let error = settings.refuse_no_text("AWS_").unwrap_err();
        assert!(error.message().contains("AWS_SECRET_ACCESS_KEY"), "{error}");
        settings.refuse_no_text("GOOGLE_").unwrap();
        let said = settings.with("AWS_SECRET_ACCESS_KEY", "x");
        said.refuse_no_text("AWS_").unwrap();
    }

    #[test]
    fn values_are_not_shown() {
        let settings = StoreSettings::new().with("AWS_SECRET_ACCESS_KEY", "geheim");
        let shown = format!("{settings:?}");
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("geheim"));
    }
}
