/// What the keeper of volumes hands over of one, for whoever runs the machine. A runtime says which kinds it takes by its
/// exhaustive `switch`.
public enum DiskAttachment: Hashable, Sendable {
    /// A mounted filesystem on the host.
    case folder(path: String)
}

/// What the mesh hands over of a machine's network, for whoever runs the machine. As with ``DiskAttachment``, the runtime
/// says which kinds it takes.
public enum NetworkAttachment: Hashable, Sendable {
    /// A network namespace with the machine's link and address inside, bound to a file of the host.
    case namespace(path: String)
}
