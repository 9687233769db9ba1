// Reads messages and pictures, a line each, into the generated classes, and says what it has understood.
//   client|server TAB json   ->   the same message, written anew
//   picture TAB base64       ->   the fields of its header
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Text.RegularExpressions;
using Worldloom.Protocol;

public static class Echo
{
    static readonly DataContractJsonSerializerSettings Settings =
        new DataContractJsonSerializerSettings { UseSimpleDictionaryFormat = true };

    public static void Main()
    {
        Console.OutputEncoding = new UTF8Encoding(false);
        for (string line; (line = Console.ReadLine()) != null;)
        {
            var parts = line.Split(new[] { '\t' }, 2);
            Console.WriteLine(parts[0] == "picture" ? Header(Convert.FromBase64String(parts[1])) : Message(parts[0], parts[1]));
        }
    }

    static string Message(string side, string json)
    {
        var types = side == "client" ? Messages.Client : Messages.Server;
        var serializer = new DataContractJsonSerializer(types[Regex.Match(json, "\"type\":\"(\\w+)\"").Groups[1].Value], Settings);
        object message;
        using (var stream = new MemoryStream(Encoding.UTF8.GetBytes(json)))
            message = serializer.ReadObject(stream);
        using (var stream = new MemoryStream())
        {
            serializer.WriteObject(stream, message);
            return Encoding.UTF8.GetString(stream.ToArray());
        }
    }

    static string Header(byte[] message)
    {
        var header = FrameHeader.Read(message);
        var values = typeof(FrameHeader).GetProperties().Select(property => property.Name + "=" + property.GetValue(header, null));
        return string.Join(" ", values) + " first=" + message[FrameHeader.Bytes];
    }
}
