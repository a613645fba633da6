//! `wasi:filesystem` as guests get it: wasmtime's own, with a bound to what may be open, and to what may be in `/tmp`.
//!
//! Everything is handed on to wasmtime-wasi, which keeps paths in their folder and writes out of those that are only
//! read. What adds to a disk is counted before (`disk.rs`). A disk has no symbolic links and no folder moves to another one, so a
//! path's depth is what it looks like.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode, Filesize,
    Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use crate::disk::{Disk, Full, OpenFile, OpenFiles};

/// What one instance has open, and its disk, if it has one.
#[derive(Debug, Default)]
pub(crate) struct GuestFiles {
    disk: Option<Arc<Disk>>,
    open: OpenFiles,
    /// By their number in the table of resources.
    descriptors: HashMap<u32, Opened>,
    listings: HashMap<u32, OpenFile>,
}

impl GuestFiles {
    pub(crate) fn new(disk: Option<Arc<Disk>>) -> Self {
        Self { disk, ..Self::default() }
    }
}

/// A file or folder that the guest opened.
#[derive(Debug)]
struct Opened {
    /// How many folders it is below the folder that it was given.
    depth: usize,
    _open: OpenFile,
}

/// The view that the linker takes.
pub(crate) struct Files<'a> {
    pub(crate) view: WasiFilesystemCtxView<'a>,
    pub(crate) files: &'a mut GuestFiles,
}

/// Tells the linker of [`Files`].
pub(crate) struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

impl From<Full> for FsError {
    fn from(_: Full) -> Self {
        ErrorCode::InsufficientSpace.into()
    }
}

impl Files<'_> {
    /// The disk, if that is where this file or folder is: everything else can only be read.
    fn disk_of(&self, fd: &Resource<Descriptor>) -> FsResult<Option<Arc<Disk>>> {
        let perms = match self.view.table.get(fd)? {
            Descriptor::File(file) => file.perms,
            Descriptor::Dir(dir) => dir.perms,
        };
        Ok(if perms.write_not_permitted() { None } else { self.files.disk.clone() })
    }

    fn file(&self, fd: &Resource<Descriptor>) -> FsResult<Arc<File>> {
        match self.view.table.get(fd)? {
            Descriptor::File(file) => Ok(Arc::clone(&file.file)),
            Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    /// How deep a path from there leads.
    fn depth(&self, fd: &Resource<Descriptor>, path: &str) -> usize {
        let from = self.files.descriptors.get(&fd.rep()).map_or(0, |opened| opened.depth);
        Path::new(path).components().fold(from, |depth, component| match component {
            Component::Normal(_) => depth + 1,
            Component::ParentDir => depth.saturating_sub(1),
            _ => depth,
        })
    }

    /// Takes room for something new at that path, if it is on the disk.
    fn take_entry(&self, fd: &Resource<Descriptor>, path: &str) -> FsResult<()> {
        let Some(disk) = self.disk_of(fd)? else { return Ok(()) };
        if !Disk::may_have(self.depth(fd, path)) {
            return Err(ErrorCode::NameTooLong.into());
        }
        Ok(disk.take(0, 1)?)
    }

    /// Something is removed there.
    fn loosen(&self, fd: &Resource<Descriptor>) -> FsResult<()> {
        if let Some(disk) = self.disk_of(fd)? {
            disk.loosen();
        }
        Ok(())
    }

    fn one_more(&self, disk: Option<&Arc<Disk>>) -> FsResult<OpenFile> {
        self.files.open.one_more(disk).ok_or_else(|| ErrorCode::Quota.into())
    }

    /// A stream that counts what is written through it; without a disk as it is.
    fn metered(
        &mut self,
        fd: &Resource<Descriptor>,
        stream: Resource<DynOutputStream>,
        position: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let Some(disk) = self.disk_of(fd)? else { return Ok(stream) };
        let open = self.one_more(Some(&disk))?;
        let file = self.file(fd)?;
        let inner = self.view.table.delete(stream)?;
        let metered: DynOutputStream = Box::new(Metered { inner, file, position, disk, _open: open });
        Ok(self.view.table.push(metered)?)
    }
}

impl Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.view.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.view.filesystem_error_code(error)
    }
}

impl HostDescriptor for Files<'_> {
    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let open = self.one_more(self.disk_of(&fd)?.as_ref())?;
        let stream = self.view.read_via_stream(fd, offset)?;
        let inner = self.view.table.delete(stream)?;
        let counted: DynInputStream = Box::new(Counted { inner, _open: open });
        Ok(self.view.table.push(counted)?)
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        let borrowed = Resource::new_borrow(fd.rep());
        let stream = self.view.write_via_stream(fd, offset)?;
        self.metered(&borrowed, stream, Some(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let borrowed = Resource::new_borrow(fd.rep());
        let stream = self.view.append_via_stream(fd)?;
        self.metered(&borrowed, stream, None)
    }

    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.view.advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.sync(fd).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.view.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.view.get_type(fd).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        if let Some(disk) = self.disk_of(&fd)? {
            let file = self.file(&fd)?;
            disk.take_up_to(&file, Some(size))?;
            disk.loosen();
        }
        self.view.set_size(fd, size).await
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.view.set_times(fd, accessed, modified).await
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        HostDescriptor::read(&mut self.view, fd, length, offset).await
    }

    async fn write(&mut self, fd: Resource<Descriptor>, buffer: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        if let Some(disk) = self.disk_of(&fd)? {
            let file = self.file(&fd)?;
            disk.take_up_to(&file, offset.checked_add(buffer.len() as u64))?;
        }
        HostDescriptor::write(&mut self.view, fd, buffer, offset).await
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let open = self.one_more(None)?;
        let listing = self.view.read_directory(fd).await?;
        self.files.listings.insert(listing.rep(), open);
        Ok(listing)
    }

    /// There is nothing to keep: a disk goes with its instance. To wait for the machine's would cost its other users dear.
    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.view.table.get(&fd)?;
        Ok(())
    }

    async fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.take_entry(&fd, &path)?;
        self.view.create_directory_at(fd, path).await
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.view.stat(fd).await
    }

    async fn stat_at(&mut self, fd: Resource<Descriptor>, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        self.view.stat_at(fd, flags, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.view.set_times_at(fd, flags, path, accessed, modified).await
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        old_path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        self.take_entry(&new_fd, &new_path)?;
        self.view.link_at(fd, flags, old_path, new_fd, new_path).await
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let disk = self.disk_of(&fd)?;
        let open = self.one_more(disk.as_ref())?;
        let depth = self.depth(&fd, &path);
        if open_flags.contains(OpenFlags::CREATE) {
            self.take_entry(&fd, &path)?;
        }
        if open_flags.contains(OpenFlags::TRUNCATE) {
            self.loosen(&fd)?;
        }
        let opened = self.view.open_at(fd, path_flags, path, open_flags, flags).await?;
        if let (Some(disk), Descriptor::File(file)) = (&disk, self.view.table.get(&opened)?) {
            disk.opened(&file.file);
        }
        self.files.descriptors.insert(opened.rep(), Opened { depth, _open: open });
        Ok(opened)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        let number = fd.rep();
        HostDescriptor::drop(&mut self.view, fd)?;
        self.files.descriptors.remove(&number);
        Ok(())
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.view.readlink_at(fd, path).await
    }

    async fn remove_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.loosen(&fd)?;
        self.view.remove_directory_at(fd, path).await
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        old_path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        if self.disk_of(&fd)?.is_some() {
            let stat = self.view.stat_at(Resource::new_borrow(fd.rep()), PathFlags::empty(), old_path.clone()).await?;
            let stays = fd.rep() == new_fd.rep() && Path::new(&old_path).parent() == Path::new(&new_path).parent();
            if stat.type_ == DescriptorType::Directory && !stays {
                // What moves folders between disks copies them then.
                return Err(ErrorCode::CrossDevice.into());
            }
            if !Disk::may_have(self.depth(&new_fd, &new_path)) {
                return Err(ErrorCode::NameTooLong.into());
            }
            self.loosen(&fd)?;
        }
        self.view.rename_at(fd, old_path, new_fd, new_path).await
    }

    async fn symlink_at(&mut self, fd: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        if self.disk_of(&fd)?.is_some() {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.view.symlink_at(fd, target, path).await
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.loosen(&fd)?;
        self.view.unlink_file_at(fd, path).await
    }

    async fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> wasmtime::Result<bool> {
        self.view.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.view.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.view.metadata_hash_at(fd, flags, path).await
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    async fn read_directory_entry(
        &mut self,
        listing: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.view.read_directory_entry(listing).await
    }

    fn drop(&mut self, listing: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        let number = listing.rep();
        HostDirectoryEntryStream::drop(&mut self.view, listing)?;
        self.files.listings.remove(&number);
        Ok(())
    }
}

/// A stream from a file.
struct Counted {
    inner: DynInputStream,
    _open: OpenFile,
}

#[async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl InputStream for Counted {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.blocking_read(size).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// A stream into a file on a disk.
struct Metered {
    inner: DynOutputStream,
    file: Arc<File>,
    /// Where the next byte goes; none: to the end.
    position: Option<u64>,
    disk: Arc<Disk>,
    _open: OpenFile,
}

impl Metered {
    fn take(&mut self, bytes: usize) -> StreamResult<()> {
        let bytes = bytes as u64;
        let taken = match self.position {
            Some(at) => self.disk.take_up_to(&self.file, at.checked_add(bytes)),
            None => self.disk.take(bytes, 0),
        };
        taken.map_err(|Full| {
            let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
            StreamError::LastOperationFailed(full.into())
        })?;
        self.position = self.position.map(|at| at.saturating_add(bytes));
        Ok(())
    }
}

#[async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
