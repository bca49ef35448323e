use crate::engine::Engine;
use tenon_base::*;
impl Engine {
    pub(crate) fn sync_ended(&mut self, _: Now, _: Box<dyn std::any::Any + Send>, _: &mut World<'_>) {}
    pub(crate) fn recovery_ended(&mut self, _: Now, _: Box<dyn std::any::Any + Send>, _: &mut World<'_>) {}
    pub(crate) fn save_ended(&mut self, _: Now, _: Box<dyn std::any::Any + Send>, _: &mut World<'_>) {}
    pub(crate) fn rewrite_ended(&mut self, _: Now, _: Box<dyn std::any::Any + Send>, _: &mut World<'_>) {}
    pub(crate) fn walk_cuts(&mut self, _: Now, _: &mut World<'_>) {}
    pub(crate) fn settle_log(&mut self, _: Now, _: &mut World<'_>) {}
    pub(crate) fn ask_for_snapshot(&mut self, _: Now, _: &mut World<'_>) {}
}
