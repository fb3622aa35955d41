//! Makes archives with one defect each: an implementation of the format of its own, from the
//! specification, that writes whatever it is told.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A member with its header, which can be made wrong.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub content: Vec<u8>,
    pub header: Vec<u8>,
}

const MTIME: u64 = 1_700_000_000;

pub fn header(name: &str, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    let (prefix, base) = match name.len() {
        0..=100 => ("", name),
        length => {
            let slash = name
                .bytes()
                .enumerate()
                .find(|(at, byte)| *byte == b'/' && length - at <= 101);
            let slash = slash.unwrap().0;
            (&name[..slash], &name[slash + 1..])
        }
    };
    block[..base.len()].copy_from_slice(base.as_bytes());
    block[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
    block[100..124].copy_from_slice(b"0000644\x000000000\x000000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(format!("{MTIME:011o}\0").as_bytes());
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[329..345].copy_from_slice(b"0000000\x000000000\0");
    sign(&mut block);
    block
}

/// Sets a header's checksum.
pub fn sign(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// The members of a tar file.
pub fn apart(tar: &[u8]) -> Vec<Member> {
    let mut members = Vec::new();
    let mut rest = tar;
    while rest[0] != 0 {
        let (header, after) = rest.split_at(512);
        let text = |from: usize, length: usize| {
            let field = &header[from..from + length];
            String::from_utf8_lossy(field)
                .trim_end_matches('\0')
                .to_owned()
        };
        let size = usize::from_str_radix(&text(124, 12), 8).unwrap();
        let name = match text(345, 155) {
            prefix if prefix.is_empty() => text(0, 100),
            prefix => format!("{prefix}/{}", text(0, 100)),
        };
        members.push(Member {
            name,
            content: after[..size].to_vec(),
            header: header.to_vec(),
        });
        rest = &after[size.next_multiple_of(512)..];
    }
    members
}

/// A tar file of these members.
pub fn together(members: &[Member]) -> Vec<u8> {
    let mut tar = Vec::new();
    for member in members {
        tar.extend_from_slice(&member.header);
        tar.extend_from_slice(&member.content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// An archive taken apart, uncompressed.
#[derive(Clone, Debug)]
pub struct Forge {
    /// From README.txt to schema/post-data.sql.
    pub members: Vec<Member>,
    /// The lines of the index.
    pub index: Vec<Value>,
    pub trailer: [u8; 512],
}

impl Forge {
    /// Takes a good archive apart, written with no compression.
    pub fn of(archive: &[u8]) -> Self {
        let mut members = apart(archive);
        let trailer = members.pop().unwrap().content.try_into().unwrap();
        let _sums = members.pop().unwrap();
        let index = members.pop().unwrap().content;
        let index = index
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        Self {
            members,
            index,
            trailer,
        }
    }

    /// Gives the first pack another content, under the name that it has then.
    pub fn set_pack(&mut self, content: Vec<u8>) {
        let at = self.at("data/pack-");
        let digest = &hex(&sha256(&content))[..16];
        self.members[at].name = format!("data/pack-000000-{digest}.tar");
        self.set("data/pack-", content);
    }

    /// Takes the first pack apart, and puts it together again after a change.
    pub fn repack(&mut self, change: impl FnOnce(&mut Vec<Member>)) {
        let mut members = apart(&self.member("data/pack-").content);
        change(&mut members);
        self.set_pack(together(&members));
    }

    pub fn at(&self, part: &str) -> usize {
        let found = self
            .members
            .iter()
            .position(|member| member.name.contains(part));
        found.unwrap_or_else(|| panic!("no member {part}"))
    }

    pub fn member(&mut self, part: &str) -> &mut Member {
        let at = self.at(part);
        &mut self.members[at]
    }

    /// Gives a member another content, of which everything else knows.
    pub fn set(&mut self, part: &str, content: impl Into<Vec<u8>>) {
        let member = self.member(part);
        member.content = content.into();
        member.header = header(&member.name, member.content.len());
    }

    /// Replaces text in a member's content.
    pub fn replace(&mut self, part: &str, from: &str, to: &str) {
        let old = String::from_utf8(self.member(part).content.clone()).unwrap();
        assert!(old.contains(from), "{part} has no {from}");
        self.set(part, old.replacen(from, to, 1));
    }

    /// Adds a member, and its line of the index.
    pub fn insert(&mut self, at: usize, name: &str, content: &[u8]) {
        let header = header(name, content.len());
        let member = Member {
            name: name.to_owned(),
            content: content.to_vec(),
            header,
        };
        self.members.insert(at, member);
        let line = json!({"kind": "member", "name": name, "offset": 0, "stored_bytes": 0,
            "raw_bytes": content.len(), "sha256": ""});
        self.index.insert(at, line);
    }

    /// A line of the index by what it has.
    pub fn line(&mut self, kind: &str, entry: u64) -> &mut Value {
        let found = self
            .index
            .iter_mut()
            .find(|line| line["kind"] == kind && (kind == "member" || line["entry"] == entry));
        found.unwrap_or_else(|| panic!("no {kind} of {entry}"))
    }

    /// Makes the manifest's list of members, the names of frames, and the index's digests and
    /// offsets agree with the members.
    pub fn agree(&mut self) {
        let sealed: Vec<(String, usize, String)> = self
            .members
            .iter()
            .map(|member| {
                (
                    member.name.clone(),
                    member.content.len(),
                    hex(&sha256(&member.content)),
                )
            })
            .collect();
        let at = self.at("pgstow/archive.json");
        if let Ok(mut manifest) = serde_json::from_slice::<Value>(&self.members[at].content)
            && let Some(list) = manifest["members"].as_array_mut()
        {
            for line in list {
                let (_, size, digest) = sealed
                    .iter()
                    .find(|sealed| line["name"] == sealed.0)
                    .unwrap();
                line["stored_bytes"] = json!(size);
                line["raw_bytes"] = json!(size);
                line["sha256"] = json!(digest);
            }
            self.set(
                "pgstow/archive.json",
                serde_json::to_vec(&manifest).unwrap(),
            );
        }
        let mut position = 0;
        let known = |line: &&mut Value| line["kind"] == "member" || line["kind"] == "frame";
        for (line, member) in self.index.iter_mut().filter(known).zip(&self.members) {
            line["offset"] = json!(position + member.header.len());
            line["stored_bytes"] = json!(member.content.len());
            if line["kind"] == "member" {
                line["name"] = json!(member.name);
                line["raw_bytes"] = json!(member.content.len());
            }
            line["sha256"] = json!(hex(&sha256(&member.content)));
            position += member.header.len() + member.content.len().next_multiple_of(512);
        }
    }

    /// Sets a number of the trailer.
    pub fn number(&mut self, offset: usize, value: u64) {
        self.trailer[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Puts everything together, with an index, SHA256SUMS and trailer that agree with the rest;
    /// `tamper` may change the trailer before its digest is taken.
    pub fn seal(&self, tamper: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sums = String::new();
        let mut offset = 0;
        let mut add = |out: &mut Vec<u8>, member: &Member| {
            out.extend_from_slice(&member.header);
            offset = out.len();
            out.extend_from_slice(&member.content);
            out.resize(out.len().next_multiple_of(512), 0);
            sums.push_str(&format!(
                "{}  {}\n",
                hex(&sha256(&member.content)),
                member.name
            ));
            offset as u64
        };
        for member in &self.members {
            add(&mut out, member);
        }
        let plain = |name: &str, content: Vec<u8>| Member {
            name: name.to_owned(),
            header: header(name, content.len()),
            content,
        };
        let index: String = self.index.iter().map(|line| format!("{line}\n")).collect();
        let index = plain("pgstow/index.jsonl", index.into_bytes());
        let index_offset = add(&mut out, &index);
        let mut new = self.clone();
        new.number(56, index_offset);
        new.number(64, index.content.len() as u64);
        new.number(72, index.content.len() as u64);
        new.trailer[80..112].copy_from_slice(&sha256(&index.content));
        let sums = plain("SHA256SUMS", sums.into_bytes());
        out.extend_from_slice(&sums.header);
        new.number(112, out.len() as u64);
        new.number(120, sums.content.len() as u64);
        new.trailer[128..160].copy_from_slice(&sha256(&sums.content));
        new.number(160, self.members.len() as u64 + 1);
        out.extend_from_slice(&sums.content);
        out.resize(out.len().next_multiple_of(512), 0);
        new.number(48, out.len() as u64 + 2048);
        tamper(&mut new);
        let own = sha256(&new.trailer[..480]);
        new.trailer[480..].copy_from_slice(&own);
        out.extend_from_slice(&header("pgstow/trailer", 512));
        out.extend_from_slice(&new.trailer);
        out.resize(out.len() + 1024, 0);
        out
    }

    pub fn seal_plain(&self) -> Vec<u8> {
        self.seal(|_| ())
    }
}
