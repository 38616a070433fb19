#![doc = include_str!("../README.md")]

mod border;
mod event;
mod model;
mod session;
mod state;

pub use border::{Status, snn_last_error, snn_version};
pub use event::SnnEvent;
pub use model::{
    SnnModel, SnnOptions, SnnPrediction, snn_model_class_name, snn_model_classes,
    snn_model_classify, snn_model_free, snn_model_from_bytes, snn_model_input_shape,
    snn_model_input_size, snn_model_instruction_set, snn_model_load, snn_model_run_batch,
    snn_model_summary, snn_model_time_steps,
};
pub use session::{
    SnnSession, snn_session_best, snn_session_bytes, snn_session_class, snn_session_free,
    snn_session_logits, snn_session_new, snn_session_probabilities, snn_session_push,
    snn_session_push_events, snn_session_push_real, snn_session_run, snn_session_run_events,
    snn_session_run_frames, snn_session_run_real, snn_session_run_until, snn_session_sums,
};
pub use state::{
    SnnState, snn_state_copy, snn_state_free, snn_state_new, snn_state_reset, snn_state_steps,
};

#[cfg(test)]
#[path = "../tests/it/main.rs"]
mod it;
