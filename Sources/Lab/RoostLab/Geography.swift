import Glibc
import RoostModel

/// Where regions are and how long light and routers take between them.
public enum Geography {
    /// Latitude and longitude of the city whose airport gives the region its code.
    private static let places: [(code: String, latitude: Double, longitude: Double)] = [
        ("ams", 52.37, 4.90), ("arn", 59.33, 18.06), ("bom", 19.08, 72.88), ("cdg", 48.86, 2.35),
        ("dfw", 32.78, -96.80), ("ewr", 40.74, -74.17), ("fra", 50.11, 8.68), ("gru", -23.55, -46.63),
        ("iad", 38.95, -77.45), ("jnb", -26.20, 28.05), ("lax", 34.05, -118.24), ("lhr", 51.51, -0.13),
        ("nrt", 35.76, 140.39), ("ord", 41.88, -87.63), ("sin", 1.35, 103.82), ("sjc", 37.34, -121.89),
        ("syd", -33.87, 151.21), ("yyz", 43.65, -79.38),
    ]

    /// Round trips that are known better than by distance, in milliseconds.
    private static let known: [(Set<String>, Int)] = [
        (["ams", "iad"], 80), (["ams", "sin"], 160), (["iad", "sin"], 220),
    ]

    public static var codes: [String] { places.map(\.code) }

    public static func knows(_ code: String) -> Bool { places.contains { $0.code == code } }

    /// The round trip between two regions, in milliseconds; 0 within one.
    ///
    /// Light in fibre takes 1 ms for 100 km there and back; cables are about 1.4 times as long as the great circle.
    public static func roundTripMilliseconds(_ from: RegionCode, _ to: RegionCode) -> Int {
        if from == to { return 0 }
        if let pair = known.first(where: { $0.0 == [from.text, to.text] }) { return pair.1 }
        guard let start = places.first(where: { $0.code == from.text }),
            let end = places.first(where: { $0.code == to.text })
        else { return 0 }
        let radians = Double.pi / 180
        let (latitude, other) = (start.latitude * radians, end.latitude * radians)
        let half =
            pow(sin((other - latitude) / 2), 2)
            + cos(latitude) * cos(other) * pow(sin((end.longitude - start.longitude) * radians / 2), 2)
        let kilometres = 2 * 6371 * asin(min(1, half.squareRoot()))
        return max(1, Int((kilometres / 100 * 1.4).rounded()))
    }
}
