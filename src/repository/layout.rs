//! Where what stands in a repository's store. Keys are made of ids alone, never of names.

use sha2::{Digest as _, Sha256};

use super::record::BackupId;
use crate::archive::hex;

/// Says that a store is a repository.
pub(super) const MARKER: &str = "pgstow-repository.json";

/// Records: one for each backup that has ended.
pub(super) const RECORDS: &str = "backups";

/// Drafts: one for each backup that is being made.
pub(super) const DRAFTS: &str = "drafts";

/// What became of backups later.
pub(super) const NOTES: &str = "notes";

/// The archives themselves.
pub(super) const ARCHIVES: &str = "archives";

/// What has been read before of records and notes.
pub(super) const INDEX: &str = "index.json";

/// What was done, record by record.
pub(super) const AUDIT: &str = "audit";

/// The last records of what was done.
pub(super) const HEADS: &str = "audit-heads.json";

/// Who works on something that only one may work on.
pub(super) const LOCKS: &str = "locks";

/// What a self-test writes, and takes away again: below this.
pub const PROBES: &str = "doctor";

/// The lock for whoever deletes something.
pub const DELETION: &str = "deletion";

/// The lock for whoever makes a backup of this database.
pub fn lock_of(database: &str) -> String {
    // Names may have anything in them, keys may not.
    format!("backup-{}", hex(&Sha256::digest(database)[..8]))
}

pub(super) fn record(id: &BackupId) -> String {
    format!("{RECORDS}/{id}.json")
}

pub(super) fn draft(id: &BackupId) -> String {
    format!("{DRAFTS}/{id}.json")
}

pub(super) fn archive(id: &BackupId) -> String {
    format!("{ARCHIVES}/{id}.pgstow")
}

/// All notes of a backup are below this.
pub(super) fn notes(id: &BackupId) -> String {
    format!("{NOTES}/{id}")
}

/// The id that a key of this folder is about: its name, or the folder that it stands in.
pub(super) fn id_of(key: &str, folder: &str) -> Option<BackupId> {
    let rest = key.strip_prefix(folder)?.strip_prefix('/')?;
    let name = rest.split('/').next()?;
    let name = name.strip_suffix(".json").unwrap_or(name);
    let name = name.strip_suffix(".pgstow").unwrap_or(name);
    name.parse().ok()
}

/// Whether an object under this key would be one of a repository's, by the key alone.
pub(super) fn is_ours(key: &str) -> bool {
    let named = [ARCHIVES, DRAFTS, RECORDS, NOTES];
    let folders = [AUDIT, LOCKS, PROBES];
    named.iter().any(|folder| id_of(key, folder).is_some())
        || folders.iter().any(|folder| {
            key.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
        })
        || [MARKER, INDEX, HEADS].contains(&key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::archive::Timestamp;

    #[test]
    fn keys_tell_their_backup() {
        let id = BackupId::new(Timestamp(1_700_000_000)).unwrap();
        assert_eq!(id_of(&record(&id), RECORDS), Some(id.clone()));
        assert_eq!(id_of(&draft(&id), DRAFTS), Some(id.clone()));
        assert_eq!(id_of(&archive(&id), ARCHIVES), Some(id.clone()));
        let note = format!("{}/1-00.json", notes(&id));
        assert_eq!(id_of(&note, NOTES), Some(id.clone()));
        assert_eq!(id_of("backups/readme.json", RECORDS), None);
        assert_eq!(id_of(&record(&id), DRAFTS), None);
        for ours in [&record(&id), &archive(&id), &note, INDEX, "audit/1.json"] {
            assert!(is_ours(ours), "{ours}");
        }
        for foreign in ["archives/films.tar", "audits/1.json", "films.tar", "locks"] {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
