//! Logs from hostile bytes, as manifests and as files: what loads once loads again with the same commands, and a
//! manifest that is understood comes back from what it is printed to.
#![no_main]

use std::sync::Arc;

use crc64fast::Digest;
use libfuzzer_sys::fuzz_target;
use tenon_aof::memory_disk::MemoryDisk;
use tenon_aof::{
    AofError, BaseLoaded, Directory, HEADER_BYTES, LoadNotice, LoadOptions, LoadSink, Loaded, Manifest, load,
};
use tenon_base::DiskFile;
use tenon_fuzz::{Choices, parts};
use tenon_resp::Args;

const NAME: &str = "appendonly.aof";
const FILES_MAX: usize = 4;
/// As `host/aof/src/header.rs` has it: what opens a header, and where the part that its checksum covers begins.
const OPENING: &[u8] = b"*2\r\n$4\r\nPING\r\n$138\r\ntenon1 ";
const BATCH_BYTES_WIDTH: usize = 12;
const CHECKSUM_WIDTH: usize = 16;

fuzz_target!(|input: &[u8]| {
    let Some((bytes, choices)) = Choices::split(input) else { return };
    manifest_comes_back(bytes);
    let place = Place::of(bytes, choices);
    let options = LoadOptions {
        cut_torn_end: choices.is_on(0),
        damaged_tail_bytes_max: if choices.is_on(2) { 64 } else { 0 },
        checksum: choices.is_on(1),
    };
    let (result, commands) = place.load(options, choices);
    let Ok(loaded) = result else { return };
    let (again, same_commands) = place.load(options, choices);
    let again = again.unwrap_or_else(|error| panic!("what was loaded does not load again: {error}"));
    assert_eq!(again.cut_bytes, 0, "cut at the second load only");
    assert_eq!(commands, same_commands, "other commands at the second load");
    assert_eq!((again.origin, again.bytes), (loaded.origin, loaded.bytes));
});

fn manifest_comes_back(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes, "m") else { return };
    let printed = manifest.print();
    if manifest.base.is_none() && manifest.increments.is_empty() && manifest.history.is_empty() {
        assert!(printed.is_empty());
        return;
    }
    assert_eq!(Manifest::parse(printed.as_bytes(), "m"), Ok(manifest), "printed and read again");
}

struct Place {
    disk: MemoryDisk,
    directory: Directory,
}

impl Place {
    /// The bytes as files: a manifest and what it names, or increments alone.
    fn of(bytes: &[u8], choices: Choices) -> Place {
        let place = Place { disk: MemoryDisk::new(), directory: Directory::new("/d/aof", NAME) };
        let mut files = parts(bytes, FILES_MAX);
        let mut manifest = String::new();
        let own_manifest = choices.is_on(2).then(|| files.remove(0));
        let has_base = choices.is_on(3);
        for (index, content) in files.into_iter().enumerate() {
            let (kind, ending) = if has_base && index == 0 { ('b', "base") } else { ('i', "incr") };
            let name = format!("{NAME}.{}.{ending}.aof", index + 1);
            manifest.push_str(&format!("file {name} seq {} type {kind}\n", index + 1));
            let mut content = content.to_vec();
            if choices.is_on(4) {
                correct_checksums(&mut content);
            }
            place.disk.put(&place.directory.file(&name), &content);
        }
        let manifest = own_manifest.unwrap_or(manifest.as_bytes());
        place.disk.put(&place.directory.file(&format!("{NAME}.manifest")), manifest);
        place
    }

    fn load(&self, options: LoadOptions, choices: Choices) -> (Result<Loaded, AofError>, Vec<Command>) {
        let mut record = Record { rdb_bytes: choices.seed() as u64, ..Record::default() };
        let result = load(&self.disk, &self.directory, None, options, &mut record);
        (result, record.commands)
    }
}

/// The database that was selected, and the words.
type Command = (Vec<u8>, Vec<Vec<u8>>);

/// Keeps the commands, and takes any file for an RDB file of so many bytes.
#[derive(Default)]
struct Record {
    database: Vec<u8>,
    commands: Vec<Command>,
    rdb_bytes: u64,
}

impl LoadSink for Record {
    fn rdb(&mut self, _file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        match self.rdb_bytes {
            0 => Err("no RDB file".to_owned()),
            bytes => Ok(BaseLoaded { bytes, origin: None }),
        }
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        assert!(!args.is_empty());
        match args.get(0).eq_ignore_ascii_case(b"SELECT") {
            // One that nothing follows changes nothing, and a file that was cut down to nothing has none.
            true => self.database = args.try_get(1).unwrap_or_default().to_vec(),
            false => self.commands.push((self.database.clone(), args.iter().map(<[u8]>::to_vec).collect())),
        }
        Ok(())
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        assert!(loaded_bytes <= total_bytes, "more loaded than there is");
    }

    fn notice(&mut self, line: LoadNotice) {
        assert!(!line.text.is_empty());
    }
}

/// Gives every header whose batch is there the checksum that belongs to it: no input would find it.
fn correct_checksums(content: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = content[at..].windows(OPENING.len()).position(|window| window == OPENING) {
        let start = at + found;
        at = start + OPENING.len();
        let checksum_at = at + BATCH_BYTES_WIDTH + 1;
        let batch_at = start + HEADER_BYTES;
        let Some(digits) = content.get(at..at + BATCH_BYTES_WIDTH) else { return };
        let batch_bytes = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(batch) = batch_bytes.and_then(|bytes| content.get(batch_at..batch_at.checked_add(bytes)?))
        else {
            continue;
        };
        let mut digest = Digest::new();
        digest.write(&content[checksum_at + CHECKSUM_WIDTH + 1..batch_at - 2]);
        digest.write(batch);
        let text = format!("{:016x}", digest.sum64());
        content[checksum_at..checksum_at + CHECKSUM_WIDTH].copy_from_slice(text.as_bytes());
    }
}
