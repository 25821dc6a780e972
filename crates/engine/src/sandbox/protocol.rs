//! What the engine and a step's runner tell each other: JSON over a socket that keeps messages apart.
//!
//! The socket is the runner's standard input, so that no descriptor need be left open for every process that the
//! engine starts meanwhile. The [`Spec`] may be larger than a message can be and travels as a file in memory.

use std::io::{self, IoSlice, IoSliceMut, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::points::Point;
use super::spec::{Spec, Watch};

/// More than any message has: paths are at most 4096 bytes, each of which JSON may write as six.
const ROOM: usize = 64 * 1024;

/// What the runner is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) spec: Spec,
    pub(super) watch: Watch,
    /// Whether it makes a user namespace, whose maps the engine writes.
    pub(super) user_namespace: bool,
}

/// From the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// With the descriptor of a [`Task`], and of the terminal where there is one.
    Start,
    /// What was reported is dealt with.
    GoOn,
}

/// From the runner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It is in a user namespace without maps, and waits.
    Unmapped,
    /// The container's first process is there; with its pidfd.
    Init,
    /// A mount point was made.
    Made(Point),
    /// With the listener of the notify filter; it waits.
    Listener,
    /// With the outer end of the command's terminal; it waits.
    Terminal,
    /// The command could not be started.
    Failed(Failure),
    /// The container's first process has ended, with this status as wait(2) has it.
    Ended(i32),
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// A message and the descriptors that came with it.
pub(super) type Received<T> = (T, Vec<OwnedFd>);

impl Channel {
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), other))
    }

    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::io::retry_on_intr(|| sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// Tells the other end that nothing more will come; what it sends is still heard.
    pub(super) fn finish_sending(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write)?)
    }

    /// The next message; `None` when the other end is closed.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        let mut room = vec![0; ROOM];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let count = loop {
            let mut slices = [IoSliceMut::new(&mut room)];
            match recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received.bytes,
                Err(rustix::io::Errno::INTR) => {}
                // The other end had something unread when it was closed.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        if count == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        let message = room.get(..count).unwrap_or_default();
        Ok(Some((serde_json::from_slice(message)?, descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A file in memory that holds the task.
pub(super) fn write_task(task: &Task) -> io::Result<OwnedFd> {
    let descriptor = rustix::fs::memfd_create(c"step", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(&serde_json::to_vec(task)?)?;
    file.rewind()?;
    Ok(file.into())
}

/// Reads it again.
pub(super) fn read_task(descriptor: OwnedFd) -> io::Result<Task> {
    Ok(serde_json::from_reader(io::BufReader::new(std::fs::File::from(descriptor)))?)
}
