/// `1 machine`, `2 machines`: a number with what is counted.
///
/// - Parameter plural: where it is not the noun with an `s`.
public func counted(_ number: some BinaryInteger, _ noun: String, plural: String? = nil) -> String {
    "\(number) " + (number == 1 ? noun : plural ?? noun + "s")
}
