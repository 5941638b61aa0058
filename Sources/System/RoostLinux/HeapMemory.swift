import CLinux

/// The memory that this process has from its allocator.
public enum HeapMemory {
    /// Gives back what was used for a moment and is free now. glibc does so by itself only at the end of a heap: after
    /// something large was read, what is kept of it lies behind what was not. Takes milliseconds for each 100 MiB, and
    /// holds up who allocates meanwhile: for rare moments.
    public static func trim() { roost_trim_heap() }
}
