//! The lab as a process: one line on stdout when ready, everything else by HTTP, gone when its parent is.

use mayfly_lab::args::{self, Command, Run};
use mayfly_lab::control;
use mayfly_lab::lab::Lab;
use mayfly_lab::sql;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::future::IntoFuture;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Two local commits and joins; what takes longer is left behind with the process.
const STOP_TIMEOUT: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    let run = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Run(run)) => run,
        Ok(Command::Help) => {
            print(args::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Sql(database, statement)) => return look(&database, &statement),
        Err(error) => {
            eprintln!("mayfly-lab: {error}");
            return ExitCode::from(2);
        }
    };
    mayfly_lab::logging::to_stderr(run.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mayfly-lab: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(serve(run));
    // Reading stdin is a blocking call on a thread of the pool: nobody can end it.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mayfly-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn look(database: &Path, statement: &str) -> ExitCode {
    match sql::run(database, statement) {
        Ok(rows) => {
            print(&(Value::Array(rows).to_string() + "\n"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("mayfly-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(run: Run) -> Result<(), String> {
    // Before anything else: a parent that is gone during the start is noticed, too.
    let told_to_end = signalled().map_err(|e| e.to_string())?;
    let parent_gone = tokio::spawn(stdin_closed());
    let end = async {
        tokio::select! {
            _ = told_to_end => {}
            _ = parent_gone => {}
        }
    };
    tokio::pin!(end);
    let lab = tokio::select! {
        started = Lab::start(run.lab) => Arc::new(started.map_err(|e| e.to_string())?),
        () = &mut end => return Ok(()),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| e.to_string())?;
    let control = listener.local_addr().map_err(|e| e.to_string())?;
    let ready = serde_json::to_string(&lab.ready(control)).map_err(|e| e.to_string())?;
    let server = tokio::spawn(axum::serve(listener, control::router(Arc::clone(&lab))).into_future());
    print(&(ready + "\n"));
    end.await;
    server.abort();
    let _ = server.await;
    let stopped = tokio::time::timeout(STOP_TIMEOUT, lab.stop());
    if stopped.await.is_err() {
        tracing::warn!("the lab did not end in order within {} ms", STOP_TIMEOUT.as_millis());
    }
    Ok(())
}

/// SIGTERM or SIGINT. By a thread, not by tokio's signal driver: that is a feature of tokio which a build of the whole workspace
/// would switch on in the addon, too, where its two sockets would outlive every node.
fn signalled() -> std::io::Result<oneshot::Receiver<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (told, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        signals.forever().next();
        let _ = told.send(());
    });
    Ok(receiver)
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 256];
    while stdin.read(&mut ignored).await.is_ok_and(|n| n > 0) {}
}

fn print(text: &str) {
    let mut stdout = std::io::stdout();
    // A parent that reads nothing is no reason to end.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
