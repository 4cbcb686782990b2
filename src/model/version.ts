/** The version of this program, as in package.json (a unit test compares them). */
export const VERSION = "0.1.0";
