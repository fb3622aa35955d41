//! The SQL files below `fixtures/sql`.

use std::path::PathBuf;

/// One feature file and the majors it is for.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The file's name without `.sql`.
    pub name: String,
    pub path: PathBuf,
    /// From the header line `-- min-version: N`.
    pub min_version: u32,
    /// From the header line `-- max-version: N`.
    pub max_version: Option<u32>,
    /// From the header line `-- apart: REASON`: not loaded with the others, only by its name.
    pub apart: Option<String>,
    /// From the header line `-- beyond-pg_dump: REASON`: PostgreSQL's own tools cannot take it out
    /// and in again.
    pub beyond_pg_dump: Option<String>,
}

impl Fixture {
    pub fn supports(&self, major: u32) -> bool {
        self.min_version <= major && self.max_version.is_none_or(|max| major <= max)
    }
}

/// Path of `fixtures/sql/NAME.sql`.
pub fn fixture_path(name: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "fixtures",
        "sql",
        &format!("{name}.sql"),
    ]
    .iter()
    .collect()
}

/// Every feature file, sorted by name: those with a `-- min-version:` header.
pub fn fixtures() -> Vec<Fixture> {
    let dir = fixture_path("x").with_file_name("");
    let mut all: Vec<Fixture> = std::fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            Some(Fixture {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                min_version: version(header(&text, "min-version")?),
                max_version: header(&text, "max-version").map(version),
                apart: header(&text, "apart").map(str::to_owned),
                beyond_pg_dump: header(&text, "beyond-pg_dump").map(str::to_owned),
                path,
            })
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!all.is_empty(), "no fixtures in {}", dir.display());
    all
}

fn header<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let start = format!("-- {key}:");
    text.lines()
        .take_while(|line| line.starts_with("--"))
        .find_map(|line| line.strip_prefix(&start))
        .map(str::trim)
}

fn version(text: &str) -> u32 {
    text.parse()
        .unwrap_or_else(|e| panic!("version {text}: {e}"))
}
