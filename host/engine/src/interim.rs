use crate::engine::Engine;
use tenon_base::*;
impl Engine {
    pub(crate) fn watch_policies(&mut self, _: &mut World<'_>) {}
}
