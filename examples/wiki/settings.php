
# Below are the settings of a site with several web servers.

# Each host shows the site under the name that the browser has used.
$wgServer = '//' . ( $_SERVER['HTTP_HOST'] ?? 'localhost' );

# Sessions, tokens and pages are shared by all web servers, through the database.
$wgMainCacheType = CACHE_DB;
$wgSessionCacheType = CACHE_DB;
$wgParserCacheType = CACHE_DB;

# Each web server keeps its texts in its own memory: the rest of its files can't be written.
$wgCacheDirectory = '/tmp';
