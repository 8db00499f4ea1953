//! From the command line to the exit code: parse, read the configuration, act, say what went wrong.

use super::args::{Arguments, Command};
use super::context::Context;
use super::error::{CliError, Exit};
use super::output::Output;
use clap::Parser;
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version end here as well, with 0. Nobody reading them is no failure.
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let format = arguments.flags.format();
    match run(arguments) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            Output::new(format).error(&error);
            error.exit().into()
        }
    }
}

fn run(arguments: Arguments) -> Result<(), CliError> {
    let listen = arguments.command.listen().to_vec();
    let context = Context::load(arguments.flags, listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        CliError::failed(
            format_args!("the system does not let this process wait for input: {error}"),
            "raise the limit of open files (`ulimit -n`) or end other processes",
        )
    })?;
    runtime.block_on(dispatch(arguments.command, &context))
}

async fn dispatch(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Serve(command) => command.run(context).await,
        Command::Web(command) => command.run(context).await,
        Command::User(command) => command.run(context).await,
        Command::Class(command) => command.run(context).await,
        Command::ApiKey(command) => command.run(context).await,
        Command::Acl(command) => command.run(context).await,
        Command::Logs(command) => command.run(context).await,
        Command::Cert(command) => command.run(context).await,
        Command::Key(command) => command.run(context).await,
        Command::Backup(command) => command.run(context).await,
        Command::Restore(command) => command.run(context).await,
        Command::Export(command) => command.run(context).await,
        Command::Import(command) => command.run(context).await,
        Command::Publish(command) => command.run(context).await,
        Command::Subscribe(command) => command.run(context).await,
        Command::Bench(command) => command.run(context).await,
        Command::Config(command) => command.run(context),
    }
}
