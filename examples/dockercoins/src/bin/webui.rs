//! The process webui.

fn main() -> std::process::ExitCode {
    dockercoins::webui::main(std::env::args_os())
}
