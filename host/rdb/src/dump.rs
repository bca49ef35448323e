//! DUMP payloads: a type, a value, two bytes of version and eight of checksum. What RESTORE and MIGRATE carry.

use std::sync::Arc;
use std::{fmt, io};

use crc_fast::{CrcAlgorithm, checksum};
use tenon_keyspace::{Value, ValueRef};

use crate::encoder::EncoderOptions;
use crate::error::{LoadError, LoadErrorKind};
use crate::format::{is_version_read, opcode};
use crate::limits::Limits;
use crate::read_value::ValueReader;
use crate::reader::Reader;
use crate::write_value::{type_byte, write_value};
use crate::writer::{Sink, Writer};

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// Why a payload cannot be restored; the text is what a client is told, behind `ERR`.
#[derive(Debug)]
pub enum RestoreError {
    /// Its end is not that of a payload, or is one of a newer version.
    Footer,
    /// Its value is not sound.
    Data(LoadError),
}

/// A value as a payload. The options' version and compression count; the checksum is always there.
pub fn dump(value: ValueRef<'_>, options: &EncoderOptions) -> Vec<u8> {
    payload_of(options, |writer, sink| {
        writer.byte(type_byte(value, options.version));
        write_value(writer, value, options.version, sink)
    })
}

/// Libraries of functions as a payload.
pub fn dump_functions(texts: &[Arc<[u8]>], options: &EncoderOptions) -> Vec<u8> {
    payload_of(options, |writer, sink| {
        texts.iter().try_for_each(|text| {
            writer.byte(opcode::FUNCTION);
            writer.string(text, sink)
        })
    })
}

/// What `write` writes, and the footer.
fn payload_of(
    options: &EncoderOptions,
    write: impl FnOnce(&mut Writer, &mut Sink<'_>) -> io::Result<()>,
) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut sink = |block: &[u8]| {
        payload.extend_from_slice(block);
        Ok(())
    };
    let mut writer = Writer::new(true, options.compression);
    let written = write(&mut writer, &mut sink);
    writer.bytes(&options.version.number().to_le_bytes());
    written.and(writer.hand_on(&mut sink)).expect("a vector takes everything");
    let footer = writer.checksum(&mut sink).expect("a vector takes everything");
    payload.extend_from_slice(&footer.to_le_bytes());
    payload
}

/// The libraries of a payload from outside; an error is what a client is told, behind `ERR`.
pub fn restore_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let body = body_of(payload, true).map_err(|error| error.to_string())?;
    let mut reader = Reader::new(body, body.len());
    let mut texts = Vec::new();
    while reader.offset() < body.len() as u64 {
        match reader.byte().map_err(|_| "can not read data type")? {
            opcode::FUNCTION => {}
            opcode::FUNCTION_EARLY => return Err("Pre-GA function format not supported".to_owned()),
            _ => return Err("given type is not a function".to_owned()),
        }
        let mut text = Vec::new();
        reader.string(&mut text).map_err(|_| "Failed loading library code")?;
        texts.push(text);
    }
    Ok(texts)
}

/// What a payload holds, if its end is sound.
fn body_of(payload: &[u8], is_signed: bool) -> Result<&[u8], RestoreError> {
    let (signed, footer) = payload.split_last_chunk::<CHECKSUM_BYTES>().ok_or(RestoreError::Footer)?;
    let (body, version) = signed.split_last_chunk::<VERSION_BYTES>().ok_or(RestoreError::Footer)?;
    // A payload says nothing else of who wrote it; what is read of one is the same in all versions.
    let version = u32::from(u16::from_le_bytes(*version));
    let is_read = version == 0 || is_version_read(version);
    let is_sound = || !is_signed || checksum(CrcAlgorithm::Crc64Redis, signed) == u64::from_le_bytes(*footer);
    if !is_read || !is_sound() {
        return Err(RestoreError::Footer);
    }
    Ok(body)
}

/// The value of a payload from outside.
pub fn restore(payload: &[u8], limits: &Limits) -> Result<Value, RestoreError> {
    restore_checked(payload, limits, true)
}

/// As [`restore`], of a payload that may have been changed on purpose: its checksum is not looked at. For tests of how
/// damage is met; everything else is checked.
pub fn restore_unsigned(payload: &[u8], limits: &Limits) -> Result<Value, RestoreError> {
    restore_checked(payload, limits, false)
}

fn restore_checked(payload: &[u8], limits: &Limits, is_signed: bool) -> Result<Value, RestoreError> {
    let body = body_of(payload, is_signed)?;
    let expected_bytes = body.len();
    let mut reader = Reader::new(body, expected_bytes);
    let type_byte = reader.byte().map_err(RestoreError::Data)?;
    let value = ValueReader::new(*limits).read(&mut reader, type_byte).map_err(RestoreError::Data)?;
    value.ok_or_else(|| RestoreError::Data(reader.error(LoadErrorKind::Empty { type_byte })))
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RestoreError::Footer => "DUMP payload version or checksum are wrong",
            RestoreError::Data(_) => "Bad data format",
        })
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RestoreError::Footer => None,
            RestoreError::Data(error) => Some(error),
        }
    }
}
