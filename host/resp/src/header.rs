//! The numbers that frame a request: how many arguments, how long each. Limits are applied here, once, for the
//! decoder of whole requests (`scan`) and the one of split requests (`partial`).

use crate::decoder::Limits;
use crate::number::parse_integer;
use crate::protocol_error::ProtocolError;

/// What an unauthenticated connection may send, as Redis has it.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// The count after `*`; none and negative ones are 0, which is an empty request.
#[inline]
pub(crate) fn argument_count(digits: &[u8], limits: &Limits) -> Result<usize, ProtocolError> {
    let count = parse_integer(digits).ok_or(ProtocolError::InvalidMultibulkLength)?;
    check_argument_count(count, limits)
}

#[inline]
pub(crate) fn check_argument_count(count: i64, limits: &Limits) -> Result<usize, ProtocolError> {
    if count <= 0 {
        return Ok(0);
    }
    if count as u64 > limits.arguments_max as u64 {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    Ok(count as usize)
}

/// The length in a line `$length`, without its line end.
#[inline]
pub(crate) fn bulk_length(line: &[u8], limits: &Limits) -> Result<usize, ProtocolError> {
    match line.split_first() {
        Some((b'$', digits)) => {
            let length = parse_integer(digits).ok_or(ProtocolError::InvalidBulkLength)?;
            check_bulk_length(length, limits)
        }
        Some((&other, _)) => Err(ProtocolError::ExpectedDollar(other)),
        None => Err(ProtocolError::ExpectedDollar(b'\r')),
    }
}

#[inline]
pub(crate) fn check_bulk_length(length: i64, limits: &Limits) -> Result<usize, ProtocolError> {
    if length < 0 || length as u64 > limits.bulk_bytes_max as u64 {
        return Err(ProtocolError::InvalidBulkLength);
    }
    if length > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedBulkLength);
    }
    Ok(length as usize)
}
