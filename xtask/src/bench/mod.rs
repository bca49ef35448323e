//! placeholder
pub(crate) fn run(_o: &[&str]) -> Result<(), String> {
    Err(String::new())
}
