//! What loads came to, for INFO, and how quickly they went, for those who decide when to save.

use tenon_base::Micros;

/// What loads came to.
#[derive(Debug, Default)]
pub(crate) struct LoadSums {
    /// Bytes read by all loads.
    pub(crate) bytes: u64,
    /// Keys of the last RDB file.
    pub(crate) keys: u64,
    /// Of these, how many had expired and were left out.
    pub(crate) expired: u64,
    pub(crate) rates: LoadRates,
}

/// How quickly loads went, in bytes a second; `None` before one of weight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoadRates {
    /// Of RDB files, also as bases.
    pub(crate) base: Option<u64>,
    /// Of commands that were replayed.
    pub(crate) replay: Option<u64>,
}

impl LoadRates {
    /// Less says more about fixed costs than about the rate.
    const BYTES_MIN: u64 = 1 << 20;

    pub(super) fn note(rate: &mut Option<u64>, bytes: u64, spent: Micros) {
        if bytes >= Self::BYTES_MIN {
            let per_second = u128::from(bytes) * 1_000_000 / u128::from(spent.0.max(1));
            *rate = Some(u64::try_from(per_second).unwrap_or(u64::MAX));
        }
    }
}
