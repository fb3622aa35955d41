//! A disk that is soon full.

use super::process::run;
use super::server::is_root;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A directory on a file system of its own with room for so many bytes. Unmounted with the value.
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Needs the right to mount, thus root; panics without it.
    #[track_caller]
    pub fn new(bytes: u64) -> Self {
        assert!(
            is_root(),
            "a test that fills a disk mounts one, and must run as root for that"
        );
        let dir = tempfile::Builder::new()
            .prefix("pgstow-disk")
            .tempdir()
            .unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "pgstow-test"])
            .arg(dir.path());
        run(&mut mount).success();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.dir.path()));
    }
}
