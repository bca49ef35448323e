//! The first nine bytes of a file: whose it is, and of which version.
//! Always: a version that is read belongs to the magic that stands before it.

use crate::error::{LoadError, LoadErrorKind};
use crate::format::{Dialect, MAGICS, is_version_read};
use crate::reader::Reader;
use crate::source::Source;

/// Reads them; returns the version.
pub(crate) fn read<S: Source>(reader: &mut Reader<S>) -> Result<u32, LoadError> {
    let magic: [u8; 5] = reader.array()?;
    let [redis, valkey] = MAGICS;
    let dialect = match magic.as_slice() {
        start if start == redis => Dialect::Redis,
        start if valkey.starts_with(start) => Dialect::Valkey,
        _ => return Err(reader.error(LoadErrorKind::Magic(magic))),
    };
    let rest: [u8; 4] = reader.array()?;
    let digits = match (dialect, rest) {
        (Dialect::Redis, _) => &rest[..],
        (Dialect::Valkey, [b'Y', ..]) => &rest[1..],
        (Dialect::Valkey, _) => return Err(reader.error(LoadErrorKind::Magic(magic))),
    };
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let version =
        std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|digits| digits.parse().ok());
    let version = version.unwrap_or(0);
    if !is_version_read(version) || Dialect::of_version(version) != dialect {
        return Err(reader.error(LoadErrorKind::Version(version)));
    }
    Ok(version)
}
