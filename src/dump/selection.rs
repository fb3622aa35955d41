//! Which part of its database a dump has, in the words of the options that say so.

use super::DumpOptions;

/// The options by which not everything is dumped, in an order of their own; none when everything is.
pub fn selection_of(dump: &DumpOptions) -> Option<String> {
    let selection = &dump.selection;
    let patterns = [
        ("extension", &selection.extensions),
        ("exclude-extension", &selection.exclude_extensions),
        ("schema", &selection.schemas),
        ("exclude-schema", &selection.exclude_schemas),
        ("table", &selection.tables),
        ("table-and-children", &selection.tables_and_children),
        ("exclude-table", &selection.exclude_tables),
        (
            "exclude-table-and-children",
            &selection.exclude_tables_and_children,
        ),
        ("exclude-table-data", &selection.exclude_table_data),
        (
            "exclude-table-data-and-children",
            &selection.exclude_table_data_and_children,
        ),
    ];
    let mut words = Vec::new();
    for (option, patterns) in patterns {
        let mut patterns: Vec<&String> = patterns.iter().collect();
        patterns.sort_unstable();
        patterns.dedup();
        words.extend(patterns.iter().map(|it| format!("--{option}={it}")));
    }
    let sections = dump.sections;
    if !sections.is_all() {
        for (has, name) in [
            (sections.pre_data, "pre-data"),
            (sections.data, "data"),
            (sections.post_data, "post-data"),
        ] {
            words.extend(has.then(|| format!("--section={name}")));
        }
    }
    words.extend(selection.content.option().map(|it| it.to_string()));
    for (is_said, option) in [
        (selection.large_objects == Some(false), "--no-large-objects"),
        (selection.no_unlogged_table_data, "--no-unlogged-table-data"),
        (dump.enable_row_security, "--enable-row-security"),
    ] {
        words.extend(is_said.then(|| option.to_owned()));
    }
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_options_says_nothing() {
        let with = |patterns: &[&str]| {
            let mut dump = DumpOptions::default();
            dump.selection.exclude_table_data =
                patterns.iter().map(|it| (*it).to_owned()).collect();
            selection_of(&dump)
        };
        assert_eq!(with(&[]), None);
        let said = "--exclude-table-data=a --exclude-table-data=b";
        assert_eq!(with(&["a", "b"]).unwrap(), said);
        assert_eq!(with(&["b", "a", "b"]).unwrap(), said);
    }
}
